"""One installation with policies in force, one worker and one edge for all tests that leave both as they are."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from app.chaos.policies import bodies, catalogue
from app.chaos.worker import WorkerProcess
from app.settings import Settings
from app.stream.ports import kept_ports
from tests.edge.decisions.site import Site
from tests.edge.process import CAREFUL_KEY, PUBLIC_KEY, SERVER_KEY, EdgeProcess, write_key
from tests.worker.house import house_of

PORTS = ("worker", "edge", "other")


@pytest.fixture(scope="module")
def site(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("decisions")
    ports = kept_ports(folder / "ports.json", PORTS, {})
    name = f"decisions{os.getpid()}-{folder.name}"

    def settings(edge: str) -> Settings:
        return Settings(
            broker=broker, data_dir=folder / "truelift", app_id=name, topic_prefix=f"{name}.", partitions=2,
            web_port=ports["worker"], edge_port=ports[edge], edge_dir=folder / edge, session_timeout_seconds=30,
        )  # fmt: skip

    asyncio.run(_install(settings("edge")))
    site = Site(
        WorkerProcess(settings("edge"), folder / "worker.log").start(),
        EdgeProcess(settings("edge"), folder / "edge.log"),
        EdgeProcess(settings("other"), folder / "other.log"),
    )
    try:
        site.edge.start()
        site.other.start()
        site.wait_until_serving()
        yield site
    finally:
        for process in (site.edge, site.other, site.worker):
            process.close()
            print(f"-- {process.log_file.name}\n{process.log[-6_000:]}")  # noqa: T201 -- pytest shows it when a test failed


async def _install(settings: Settings) -> None:
    keys = {
        "public": write_key(PUBLIC_KEY), "server": write_key(SERVER_KEY), "careful": write_key(CAREFUL_KEY, user_tokens=True),
    }  # fmt: skip
    async with house_of(settings, bodies(), catalogue(write_keys=keys)):
        pass


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """With the public key, at the edge."""
    async with httpx.AsyncClient(base_url=site.edge.url, auth=(PUBLIC_KEY, ""), timeout=30) as client:
        yield client
