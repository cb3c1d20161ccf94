"""Signals a second of one worker against a bare transactional loop that calls the same engine on a dictionary."""

from pathlib import Path
from typing import NamedTuple

from app.settings import Settings
from tests.bench.installation import install, process
from tests.bench.reader import Throughput, read_journal
from tests.bench.signals import preload

PARTITIONS = 4
STICKY_USERS = 1_000


class Case(NamedTuple):
    """users: of how many units the signals are; as many as signals for first touch.

    Sticky units are assigned and exposed at their first signal: from the second on nothing about them is new.
    """

    name: str
    triggered: int
    signals: int
    users: int
    exposure: str
    wanted: int


class Result(NamedTuple):
    case: Case
    worker: float
    bare: float


CASES = (
    Case("4 policies triggered, sticky", 4, 60_000, STICKY_USERS, "on_decision", 8_000),
    Case("4 policies triggered, first touch", 4, 40_000, 40_000, "on_render", 4_000),
    Case("1 policy triggered, sticky", 1, 80_000, STICKY_USERS, "on_decision", 15_000),
)


async def measure(broker: str, folder: Path, case: Case) -> Result:
    settings = await install(broker, folder, case.triggered, PARTITIONS, case.exposure)
    await preload(settings, case.signals, case.users)
    worker = await _rate(settings, case.signals, "tests.bench.run_worker")
    yardstick = await install(broker, folder, case.triggered, PARTITIONS, case.exposure)
    await preload(yardstick, case.signals, case.users)
    bare = await _rate(yardstick, case.signals, "tests.bench.bare_loop")
    return Result(case, worker, bare)


async def _rate(settings: Settings, expected: int, module: str) -> float:
    figure = Throughput(expected)
    with process(settings, module):
        await read_journal(settings, lambda values, _: figure.take(len(values)))
    return figure.rate
