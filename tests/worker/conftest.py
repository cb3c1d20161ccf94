"""An installation with policies in force, workers as processes, and the journal being read."""

import itertools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.stream.ports import kept_ports
from tests.worker.house import House, house_of
from tests.worker.journal import Journal
from tests.worker.process import WorkerProcess

LOG_SHOWN_CHARS = 6_000

MakeWorker = Callable[..., WorkerProcess]


@pytest.fixture
async def house(make_settings: Callable[..., Settings]) -> AsyncIterator[House]:
    async with house_of(make_settings(partitions=2)) as house:
        yield house


@pytest.fixture
async def journal(house: House) -> AsyncIterator[Journal]:
    async with Journal(house.settings) as journal:
        yield journal


@pytest.fixture
def make_worker(make_settings: Callable[..., Settings], tmp_path: Path) -> Iterator[MakeWorker]:
    """A worker of this test's installation, not started: any setting by argument. None outlives the test."""
    made: list[WorkerProcess] = []
    number = itertools.count()

    def make(**changes: Any) -> WorkerProcess:
        name = f"worker-{next(number)}"
        port = kept_ports(tmp_path / "web-ports.json", [name], {})[name]
        worker = WorkerProcess(make_settings(**{"partitions": 2, "web_port": port} | changes), tmp_path / f"{name}.log")
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.close()
        sys.stdout.write(
            f"-- {worker.log_file.name}\n{worker.log[-LOG_SHOWN_CHARS:]}\n"
        )  # pytest shows it when the test failed


@pytest.fixture
def worker(house: House, make_worker: MakeWorker) -> WorkerProcess:
    """The one worker of `house`, started."""
    return make_worker().start()
