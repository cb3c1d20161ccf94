"""Appended -> visible at a read_committed reader, under an even load: p50, p99, max."""

import asyncio
from pathlib import Path
from typing import NamedTuple

from tests.bench.installation import install, process
from tests.bench.reader import append_to_visible_ms, read_journal
from tests.bench.signals import send_paced

PARTITIONS = 8
RATES = (500, 2_000)
SECONDS = 20.0
WARM_UP_SECONDS = 5.0
USERS = 2_000


class Result(NamedTuple):
    rate: int
    records: int
    p50: float
    p99: float
    worst: float


async def measure(broker: str, folder: Path, rate: int) -> Result:
    settings = await install(broker, folder, 1, PARTITIONS)
    with process(settings, "tests.bench.run_worker"):
        sight = _Sight()
        reading = asyncio.create_task(read_journal(settings, sight.take))
        # The first signal waits for the group to form, the next ones warm up: neither is part of the figure.
        await sight.of(await send_paced(settings, 1, 1.0, USERS))
        await sight.of(await send_paced(settings, rate, WARM_UP_SECONDS, USERS))
        sight.figures.clear()
        await sight.of(await send_paced(settings, rate, SECONDS, USERS))
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    ordered = sorted(sight.figures)
    return Result(rate, len(ordered), ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1])


class _Sight:
    """What the reader has seen: a figure for each record, and how many were asked for."""

    def __init__(self) -> None:
        self.figures: list[float] = []
        self._seen = self._wanted = 0
        self._reached = asyncio.Event()

    def take(self, values: list[bytes], arrived: float) -> bool:
        self.figures.extend(append_to_visible_ms(value, arrived) for value in values)
        self._seen += len(values)
        if self._seen >= self._wanted:
            self._reached.set()
        return False

    async def of(self, more: int) -> None:
        """Waits until as many more records were seen."""
        self._wanted += more
        self._reached.clear()
        if self._seen < self._wanted:
            await self._reached.wait()
