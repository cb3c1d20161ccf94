"""From SIGKILL to the first new output of the process that takes the killed one's place: a static member, its disk kept.

The load goes on meanwhile. The replacement is started at once, as a supervisor does; its start is part of the time.
"""

import asyncio
import time
from typing import NamedTuple

from tests.bench.peers.cell import Cell
from tests.bench.peers.judge import Verdict
from tests.bench.peers.sight import Sight, live_verdict, watching

RATE = 500
ROUNDS = 3
SECONDS_BETWEEN = 4.0
PATIENCE_SECONDS = 60.0


class Result(NamedTuple):
    """seconds: of each round, in order."""

    seconds: list[float]
    verdict: Verdict

    def as_json(self) -> dict[str, object]:
        return {"seconds": self.seconds, **self.verdict._asdict()}


async def measure(cell: Cell, rounds: int) -> Result:
    cell.start()
    async with watching(cell) as sight:
        inputs = cell.inputs
        await inputs.pace(1, 1.0)
        await sight.of(cell, inputs.count)
        seconds = []
        for _ in range(rounds):
            await inputs.pace(RATE, SECONDS_BETWEEN)
            await sight.of(cell, inputs.count)
            loading = asyncio.create_task(inputs.pace(RATE, SECONDS_BETWEEN))
            await asyncio.sleep(SECONDS_BETWEEN / 4)
            seconds.append(await _kill(cell, sight))
            await loading
            await sight.of(cell, inputs.count)
        cell.workers.stop()
        return Result(seconds, await live_verdict(cell, sight))


async def _kill(cell: Cell, sight: Sight) -> float:
    """Kills, starts anew, waits for an output of an event that was sent after the kill."""
    killed = time.perf_counter()
    cell.workers.kill()
    sent_before = cell.inputs.count
    cell.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sight.last_number < sent_before:
            sight.arrived.clear()
            await sight.arrived.wait()
    return time.perf_counter() - killed
