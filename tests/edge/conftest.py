"""One edge process for all tests that only talk to it; those that kill it have their own."""

import asyncio
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.stream.ports import kept_ports
from tests.edge.playground import Playground, playground_in
from tests.edge.process import EdgeProcess, install

ORIGIN = "https://app.example.com"
LOG_SHOWN_CHARS = 6_000
_serial = itertools.count(1)

MakeEdge = Callable[..., EdgeProcess]


@pytest.fixture(scope="session")
def edge(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeProcess]:
    """Takes events; its topics are shared: look for what your test sent, by ids of its own."""
    folder = tmp_path_factory.mktemp("edge")
    port = kept_ports(folder / "ports.json", ["edge"], {})["edge"]
    name = f"edge{os.getpid()}"
    settings = Settings(
        broker=broker,
        data_dir=folder / "truelift",
        app_id=name,
        topic_prefix=f"{name}.",
        partitions=2,
        edge_port=port,
        edge_origins=ORIGIN,
        edge_head_seconds=1.0,
        edge_body_seconds=1.0,
        edge_max_connections=200,
    )
    asyncio.run(install(settings))
    process = EdgeProcess(settings, folder / "edge.log").start()
    process.wait_until_direct()
    yield process
    process.close()


@pytest.fixture
def make_edge(make_settings: Callable[..., Settings], tmp_path: Path) -> Iterator[MakeEdge]:
    """An edge of this test's installation, not started: any setting by argument. None outlives the test."""
    made: list[EdgeProcess] = []

    def make(**changes: Any) -> EdgeProcess:
        name = f"edge-{next(_serial)}"
        port = kept_ports(tmp_path / "edge-ports.json", [name], {})[name]
        settings = make_settings(**{"partitions": 2, "edge_port": port, "edge_dir": tmp_path / name} | changes)
        process = EdgeProcess(settings, tmp_path / f"{name}.log")
        made.append(process)
        return process

    yield make
    for process in made:
        process.close()
        sys.stdout.write(f"-- {process.log_file.name}\n{process.log[-LOG_SHOWN_CHARS:]}\n")


@pytest.fixture(scope="session")
def site_port(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Of a site whose pages may ask the playground's edge."""
    return kept_ports(tmp_path_factory.mktemp("site") / "ports.json", ["site"], {})["site"]


@pytest.fixture(scope="session")
def playground(broker: str, site_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """Policies in force, a worker and an edge: shared, so use visitors and users of your own."""
    folder = tmp_path_factory.mktemp("playground")
    with playground_in(folder, broker, f"play{os.getpid()}", f"http://127.0.0.1:{site_port}") as found:
        yield found
