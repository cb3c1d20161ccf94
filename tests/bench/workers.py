"""Four workers on sixteen partitions under a steady load: what a rolling restart, a join and a leave cost, and whom.

All are static members. A pause is the longest time in which a partition's owner decided nothing, by the times that it wrote in
the journal; the load gives every partition a dozen records a second. How often a worker gave up its partitions it says itself.
"""

import asyncio
import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from app.chaos.worker import WorkerProcess
from tests.bench.fleet import fleet
from tests.bench.installation import install
from tests.bench.sight import Sight
from tests.bench.signals import Load

PARTITIONS = 16
WORKERS = 4
# What two cores carry beside a broker, four workers that commit within 5 ms, the load and the reader.
RATE = 200
USERS = 2_000
# A static member's restart must end within its session; it takes long where four workers share two cores with all the rest.
SESSION_SECONDS = 15.0
WARM_UP_SECONDS = 5.0
STEADY_SECONDS = 20.0
SETTLED_SECONDS = 1.0
DEADLINE_SECONDS = 60.0
WANTED_PAUSE_SECONDS = 3.0


class Phase(NamedTuple):
    """Visible: append of the input to its sight in the journal. pause: of the partition that stood still longest."""

    name: str
    seconds: float
    records: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    pause_seconds: float


class Restart(NamedTuple):
    """pause: of the worker's own partition, and of the others', that stood still longest. p99: of the others' records."""

    worker: str
    partitions: list[int]
    back_seconds: float
    own_pause_seconds: float
    others_pause_seconds: float
    others_p99_ms: float
    others_rebalances: int


class Result(NamedTuple):
    rate: int
    partitions: int
    workers: int
    session_seconds: float
    phases: list[Phase]
    restarts: list[Restart]

    def as_json(self) -> dict[str, Any]:
        phases, restarts = [one._asdict() for one in self.phases], [one._asdict() for one in self.restarts]
        return self._asdict() | {"phases": phases, "restarts": restarts}


async def measure(broker: str, folder: Path) -> Result:
    settings = await install(broker, folder, 1, PARTITIONS)
    names = [f"w{number}" for number in range(WORKERS + 1)]
    workers = fleet(settings.model_copy(update={"session_timeout_seconds": SESSION_SECONDS}), names, folder)
    try:
        async with Sight(settings) as sight, Load(settings, RATE, USERS):
            phases, restarts = await Run(sight, workers[:-1], workers[-1]).through()
    finally:
        await asyncio.gather(*(worker.stop() for worker in workers))
    return Result(RATE, PARTITIONS, WORKERS, SESSION_SECONDS, phases, restarts)


class Run:
    """The phases, one after the other, under one load."""

    def __init__(self, sight: Sight, workers: Sequence[WorkerProcess], fifth: WorkerProcess) -> None:
        self._sight = sight
        self._workers = workers
        self._fifth = fifth
        self._all = range(PARTITIONS)

    async def through(self) -> tuple[list[Phase], list[Restart]]:
        for worker in self._workers:
            worker.start()
        for worker in self._workers:
            await self._until_owned(worker, PARTITIONS // WORKERS)
        await self._settled()
        await asyncio.sleep(WARM_UP_SECONDS)
        phases, began = [], time.time()
        await asyncio.sleep(STEADY_SECONDS)
        phases.append(self._phase("steady", began))
        began = time.time()
        restarts = [await self._restart(worker) for worker in self._workers]
        phases.append(self._phase("rolling restart", began))
        began = time.time()
        self._fifth.start()
        await self._until_owned(self._fifth, PARTITIONS // (WORKERS + 1))
        await self._settled()
        phases.append(self._phase("join of a fifth", began))
        began = time.time()
        self._fifth.signal(signal.SIGINT)  # for good: after SIGTERM a static member's place would be kept
        await self._fifth.ended(DEADLINE_SECONDS)
        await self._settled()
        phases.append(self._phase("leave of the fifth", began))
        return phases, restarts

    async def _restart(self, worker: WorkerProcess) -> Restart:
        others = [other for other in self._workers if other is not worker]
        own = await worker.owned()
        rest = set(self._all) - own
        before = [await other.rebalances() for other in others]
        began = time.time()
        await worker.stop()
        worker.start()
        await self._sight.decided_since(worker.started_at, own, DEADLINE_SECONDS)
        back_seconds = time.time() - began
        await self._settled()
        after = [await other.rebalances() for other in others]
        return Restart(
            str(worker.settings.group_instance_id),
            sorted(own),
            back_seconds,
            self._longest_pause(began, own),
            self._longest_pause(began, rest),
            _quantile(self._sight.visible_ms(began, time.time(), rest), 0.99),
            sum(after) - sum(before),
        )

    async def _until_owned(self, worker: WorkerProcess, least: int) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(await worker.owned()) < least:  # noqa: ASYNC110 -- a page tells nobody
                await asyncio.sleep(0.05)

    async def _settled(self) -> None:
        """All partitions decide again, and what had waited is through."""
        await self._sight.decided_since(time.time() + SETTLED_SECONDS, self._all, DEADLINE_SECONDS)

    def _phase(self, name: str, began: float) -> Phase:
        ended = time.time()
        visible = self._sight.visible_ms(began, ended, self._all)
        quantiles = [_quantile(visible, share) for share in (0.5, 0.99, 1.0)]
        return Phase(name, ended - began, len(visible), *quantiles, self._longest_pause(began, self._all))

    def _longest_pause(self, began: float, partitions: Iterable[int]) -> float:
        ended = time.time()
        return max(self._sight.pause_seconds(began, ended, partition) for partition in partitions)


def show(result: Result, console: Console) -> None:
    title = f"{result.workers} workers, {result.partitions} partitions, {result.rate} signals/s: appended -> visible"
    caption = f"wanted: join and leave pause at most {WANTED_PAUSE_SECONDS:g} s"
    table = Table("phase", "seconds", "records", "p50 ms", "p99 ms", "max ms", "pause s", title=title, caption=caption)
    for phase in result.phases:
        figures = (f"{figure:,.1f}" for figure in (phase.p50_ms, phase.p99_ms, phase.max_ms))
        table.add_row(phase.name, f"{phase.seconds:.0f}", f"{phase.records:,}", *figures, f"{phase.pause_seconds:.2f}")
    console.print(table)
    caption = "wanted: no rebalance of another worker"
    table = Table(title="Rolling restart: whose partitions stand still", caption=caption)
    for name in ("worker", "partitions", "back s", "pause s", "others: pause s", "p99 ms", "rebalances"):
        table.add_column(name, overflow="fold")
    for one in result.restarts:
        seconds = (f"{figure:.2f}" for figure in (one.back_seconds, one.own_pause_seconds, one.others_pause_seconds))
        partitions = " ".join(map(str, one.partitions))
        table.add_row(one.worker, partitions, *seconds, f"{one.others_p99_ms:,.1f}", str(one.others_rebalances))
    console.print(table)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
