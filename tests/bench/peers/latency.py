"""From the time an event was due to the sight of its output by a read_committed reader, under an even load.

A worker serves all rates of a cell one after the other, after WARM_UP of its own at the first one's pace.
"""

from typing import NamedTuple

from tests.bench.peers.cell import Cell
from tests.bench.peers.judge import Verdict
from tests.bench.peers.sight import live_verdict, watching

RATES = (500, 2_000)
PARTITIONS = (4, 8)
SECONDS = 15.0
# Java compiles its hot code by then.
WARM_UP_RATE = 2_000
WARM_UP_SECONDS = 8.0


class Figure(NamedTuple):
    """Milliseconds of one rate."""

    rate: int
    events: int
    p50: float
    p99: float
    worst: float


class Result(NamedTuple):
    figures: list[Figure]
    verdict: Verdict

    def as_json(self) -> dict[str, object]:
        return {"rates": [figure._asdict() for figure in self.figures], **self.verdict._asdict()}


async def measure(cell: Cell, seconds: float, warm_up_seconds: float) -> Result:
    cell.start()
    async with watching(cell) as sight:
        inputs = cell.inputs
        # The first event waits for the group to form; what comes then is no latency of anything.
        await inputs.pace(1, 1.0)
        await sight.of(cell, inputs.count)
        await inputs.pace(WARM_UP_RATE, warm_up_seconds)
        await sight.of(cell, inputs.count)
        figures = []
        for rate in RATES:
            sight.clear()
            await inputs.pace(rate, seconds)
            await sight.of(cell, inputs.count)
            figures.append(_figure(rate, sight.latencies_ms))
        cell.workers.stop()
        return Result(figures, await live_verdict(cell, sight))


def _figure(rate: int, latencies_ms: list[float]) -> Figure:
    ordered = sorted(latencies_ms)
    last = len(ordered) - 1
    return Figure(rate, len(ordered), ordered[last // 2], ordered[last * 99 // 100], ordered[last])
