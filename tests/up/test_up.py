"""`truelift up`: a new folder becomes an installation that serves; all of it ends on SIGTERM, and with any part of it."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.stream.child import Child, truelift
from app.stream.ports import kept_ports
from tests.edge.decisions.site import question

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SECONDS = 90.0


class Up(Child):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = kept_ports(folder / "ports.json", ["web", "edge", "console"], {})
        environment = {
            "TRUELIFT_BROKER": "",
            "TRUELIFT_DATA_DIR": str(folder / "truelift"),
            "TRUELIFT_WEB_PORT": str(self.ports["web"]),
            "TRUELIFT_EDGE_PORT": str(self.ports["edge"]),
            "TRUELIFT_CONSOLE_PORT": str(self.ports["console"]),
            "PYTHONUNBUFFERED": "1",
        }
        super().__init__("up", truelift("up"), environment, folder / "up.log")

    def until(self, said: str) -> str:
        deadline = time.monotonic() + SECONDS
        while said not in self.log:
            assert self.running, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)
        return self.log

    def pid_of(self, name: str) -> int:
        """Of the one process under it whose command line has that word."""
        files = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = [int(pid) for file in files for pid in file.read_text().split()]
        (found,) = [pid for pid in children if name in Path(f"/proc/{pid}/cmdline").read_text()]
        return found


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path)
    yield up
    if up.running:
        up.process.kill()
        up.process.wait()
    print(up.log)  # noqa: T201 -- pytest shows it when the test failed


async def test_a_new_folder_serves_drains_on_a_signal_comes_back_and_ends_with_a_part(up: Up) -> None:
    up.start()
    said = await asyncio.to_thread(up.until, "all parts run")
    edge = f"http://127.0.0.1:{up.ports['edge']}"
    assert f"edge    {edge}" in said
    assert f"console http://127.0.0.1:{up.ports['console']}" in said
    key = re.search(r"public write key, shown this once: (\S+)", said)
    assert key is not None
    async with httpx.AsyncClient(base_url=edge, auth=(key[1], ""), timeout=30) as client:
        answer = await client.post("/v1/decide", json=question())
        assert (answer.status_code, answer.json()["source"]) == (200, "journal")
    up.signal(signal.SIGTERM)
    assert await up.ended(SECONDS) == 0
    assert "all parts have ended" in up.log
    up.log_file.unlink()
    up.start()
    said = await asyncio.to_thread(up.until, "all parts run")
    assert "write key" not in said, "it was an installation already"
    os.kill(up.pid_of("main()\x00worker"), signal.SIGKILL)
    assert await up.ended(SECONDS) == 2
    assert "error: the worker ended with exit code -9" in up.log
