"""Events a second over a backlog: COLD_EVENTS from the start of the process, then WARM_EVENTS more in the same process.

Nobody reads the outputs meanwhile: a reader would take its share of two cores. What is visible is the sum of the output topic's
last stable offsets, asked for every POLL_SECONDS; the transactions' markers are in it too, one for each partition and commit,
which is below one in a hundred. The judge reads everything afterwards.
"""

import asyncio
import time
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.bench.peers.cell import Cell
from tests.bench.peers.judge import Verdict
from tests.bench.peers.processes import Usage

COLD_EVENTS = 400_000
WARM_EVENTS = 2_000_000
POLL_SECONDS = 0.02
# Nothing new for this long, with everything there: the last commit has been.
QUIET_SECONDS = 1.0
PATIENCE_SECONDS = 60.0


class Sight(NamedTuple):
    at: float
    visible: int
    usage: Usage


class Phase(NamedTuple):
    """events_per_second, cpu_seconds_per_million, cores: of the worker processes."""

    events: int
    events_per_second: float
    cpu_seconds_per_million: float
    cores: float


class Result(NamedTuple):
    cold: Phase
    warm: Phase | None
    peak_rss_mb: float
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        return {
            "cold": self.cold._asdict(), "warm": self.warm and self.warm._asdict(), "peak_rss_mb": self.peak_rss_mb,
            **self.verdict._asdict(),
        }  # fmt: skip


async def measure(cell: Cell, events: int, cold_events: int) -> Result:
    """Over the first `events` of the inputs, which hold exactly those."""
    for worker in range(cell.peer.workers):
        cell.start(worker + 1)
    sights = await _watch(cell, events)
    peak = cell.workers.usage().peak_mb
    cell.workers.stop()
    cold = _phase(sights[0], _reaching(sights, cold_events))
    warm = _phase(_reaching(sights, cold_events), sights[-1]) if events > cold_events else None
    return Result(cold, warm, peak, await cell.verdict(events))


async def _watch(cell: Cell, events: int) -> list[Sight]:
    """Each change of what is visible, from the first output to the last."""
    consumer = AIOKafkaConsumer(bootstrap_servers=cell.broker, isolation_level="read_committed")
    await consumer.start()
    try:
        tps = [TopicPartition(cell.out, number) for number in range(cell.inputs.partitions)]
        sights: list[Sight] = []
        moved_at = time.perf_counter()
        while True:
            visible = sum((await consumer.end_offsets(tps)).values())
            now = time.perf_counter()
            if visible > (sights[-1].visible if sights else 0):
                sights.append(Sight(now, visible, cell.workers.usage()))
                moved_at = now
            elif sights and sights[-1].visible >= events and now - moved_at > QUIET_SECONDS:
                return sights
            elif now - moved_at > PATIENCE_SECONDS:
                cell.workers.check()
                if len(sights) > 1:
                    return sights  # what is missing is lost: the verdict says it
                raise TimeoutError(f"no output of {cell.name} within {PATIENCE_SECONDS:g} s; see {cell.workers.folder}")
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await consumer.stop()


def _reaching(sights: list[Sight], events: int) -> Sight:
    return next((sight for sight in sights if sight.visible >= events), sights[-1])


def _phase(first: Sight, last: Sight) -> Phase:
    events, seconds = last.visible - first.visible, last.at - first.at
    cpu = last.usage.cpu_seconds - first.usage.cpu_seconds
    return Phase(events, events / seconds, cpu / events * 1e6, cpu / seconds)
