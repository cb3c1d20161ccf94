"""How soon work goes on after a SIGKILL under load. `python -m tests.bench comeback`

Three ways: the killed worker is started again with its disk; a parent (`--respawn`) begins it again; nobody does, and a
survivor takes over. Until every partition concerned has a new decision that a reader sees. Writes results/comeback.json.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from rich.console import Console
from rich.table import Table

from app.chaos.worker import WorkerProcess, environment
from app.settings import Settings
from app.stream.broker import EmbeddedBroker
from app.stream.child import Child, truelift
from app.stream.respawn import RESTARTS_MAX, RESTARTS_SECONDS
from tests.bench import machine
from tests.bench.fleet import fleet
from tests.bench.installation import install
from tests.bench.sight import Sight
from tests.bench.signals import Load

RESULTS = Path(__file__).parent / "results"
PARTITIONS = 4
RATE = 200
USERS = 2_000
SESSION_SECONDS = 6.0
WANTED_BACK_SECONDS = 1.0
WANTED_TAKEOVER_SECONDS = SESSION_SECONDS + 2.0
# Alive between two deaths: at random, so that no death meets the same moment of a commit.
ALIVE_SECONDS = (1.0, 2.0)
# A parent begins a worker again only so often; then whoever started it is to know.
RESPAWN_SPARED_SECONDS = RESTARTS_SECONDS / RESTARTS_MAX
DEADLINE_SECONDS = 60.0
ALL = range(PARTITIONS)


class Result(NamedTuple):
    """seconds: of each round, from the SIGKILL (started again: from the start of the process)."""

    way: str
    wanted_seconds: float
    seconds: list[float]

    def quantiles(self) -> tuple[float, float]:
        return statistics.median(self.seconds), max(self.seconds)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench comeback", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=20, help="deaths of a worker that comes back; a survivor's takeover: a fifth"
    )
    rounds = parser.parse_args(arguments).rounds
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder)) as broker:
        results = asyncio.run(_measure(broker.address, Path(folder), rounds))
    table = Table(
        "after SIGKILL", "rounds", "p50 s", "max s", "wanted s", title=f"Until all {PARTITIONS} partitions decide again"
    )
    for result in results:
        figures = (f"{figure:.2f}" for figure in result.quantiles())
        table.add_row(result.way, str(len(result.seconds)), *figures, f"{result.wanted_seconds:g}")
    Console().print(table)
    found: dict[str, Any] = {
        "partitions": PARTITIONS, "rate": RATE, "session_seconds": SESSION_SECONDS, "machine": machine.describe(),
        "results": [result._asdict() for result in results],
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "comeback.json").write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))


async def _measure(broker: str, folder: Path, rounds: int) -> list[Result]:
    settings = (await install(broker, folder, 1, PARTITIONS)).model_copy(update={"session_timeout_seconds": SESSION_SECONDS})
    async with Sight(settings) as sight, Load(settings, RATE, USERS):
        return [
            Result("started again, with its disk", WANTED_BACK_SECONDS, await _started_again(settings, sight, folder, rounds)),
            Result("begun again by --respawn", WANTED_BACK_SECONDS, await _respawned(settings, sight, folder, rounds)),
            Result("a survivor takes over", WANTED_TAKEOVER_SECONDS, await _survived(settings, sight, folder, -(-rounds // 5))),
        ]


async def _started_again(settings: Settings, sight: Sight, folder: Path, rounds: int) -> list[float]:
    (worker,) = fleet(settings, ["again"], folder)
    seconds = []
    worker.start()
    try:
        await sight.decided_since(worker.started_at, ALL, DEADLINE_SECONDS)
        for _ in range(rounds):
            await _alive()
            await worker.kill()
            worker.start()
            await sight.decided_since(worker.started_at, ALL, DEADLINE_SECONDS)
            seconds.append(time.time() - worker.started_at)
    finally:
        await _gone(worker)
    return seconds


async def _respawned(settings: Settings, sight: Sight, folder: Path, rounds: int) -> list[float]:
    (worker,) = fleet(settings, ["respawned"], folder)
    parent = Child("worker", truelift("worker", "--respawn"), environment(worker.settings), folder / "respawned.log").start()
    seconds = []
    try:
        await sight.decided_since(time.time(), ALL, DEADLINE_SECONDS)
        for _ in range(rounds):
            await asyncio.sleep(RESPAWN_SPARED_SECONDS)
            await _alive()
            killed_at = time.time()
            os.kill(_child(parent.process.pid), signal.SIGKILL)
            await sight.decided_since(killed_at, ALL, DEADLINE_SECONDS)
            seconds.append(time.time() - killed_at)
    finally:
        parent.signal(signal.SIGINT)  # for good: the next ones share its partitions
        await parent.ended(DEADLINE_SECONDS)
    return seconds


async def _survived(settings: Settings, sight: Sight, folder: Path, rounds: int) -> list[float]:
    """Members without an identity, so that nobody waits for the dead one to come back."""
    survivor, victim = (
        WorkerProcess(static.settings.model_copy(update={"group_instance_id": None}), static.log_file)
        for static in fleet(settings, ["survivor", "victim"], folder)
    )
    seconds = []
    survivor.start()
    try:
        for _ in range(rounds):
            victim.start()
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not (own := await victim.owned()):  # noqa: ASYNC110 -- a page tells nobody
                    await asyncio.sleep(0.05)
            await sight.decided_since(time.time(), ALL, DEADLINE_SECONDS)
            await _alive()
            killed_at = time.time()
            await victim.kill()
            await sight.decided_since(killed_at, own, DEADLINE_SECONDS)
            seconds.append(time.time() - killed_at)
    finally:
        await _gone(survivor)
    return seconds


async def _alive() -> None:
    await asyncio.sleep(random.uniform(*ALIVE_SECONDS))


async def _gone(worker: WorkerProcess) -> None:
    """For good: its partitions are the next one's at once."""
    worker.signal(signal.SIGINT)
    await worker.ended(DEADLINE_SECONDS)


def _child(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
