"""A read_committed reader that runs beside the load: every output as it becomes visible, with the time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer

from tests.bench.peers.cell import Cell
from tests.bench.peers.judge import Tally, Verdict, decoded, read_state

PATIENCE_SECONDS = 60.0


class Sight:
    """latencies_ms: of the outputs since `clear`. last_number: the highest event id seen."""

    def __init__(self, keys: int) -> None:
        self.tally = Tally(keys)
        self.seen = 0
        self.last_number = -1
        self.latencies_ms: list[float] = []
        self.arrived = asyncio.Event()

    def take(self, value: bytes, at: float) -> None:
        output = self.tally.take(value)
        self.seen += 1
        self.last_number = max(self.last_number, output["event_id"])
        self.latencies_ms.append(at * 1000 - output["ts"] / 1000)

    def clear(self) -> None:
        self.latencies_ms = []

    async def of(self, cell: Cell, count: int) -> None:
        """Wait until `count` outputs were seen in all, as long as some keep coming."""
        while self.seen < count:
            self.arrived.clear()
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self.arrived.wait()
            except TimeoutError:
                cell.workers.check()
                return  # what is missing is lost: the verdict says it


@asynccontextmanager
async def watching(cell: Cell) -> AsyncIterator[Sight]:
    sight = Sight(cell.inputs.keys)
    reading = asyncio.create_task(_read(cell, sight))
    try:
        yield sight
        if reading.done():
            reading.result()
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def live_verdict(cell: Cell, sight: Sight) -> Verdict:
    """Of what was seen, and of the changelog as it is now."""
    state = await read_state(cell.broker, await cell.changelog(), range(cell.inputs.partitions))
    return sight.tally.verdict(cell.inputs.count, decoded(state.items(), cell.peer.decode))


async def _read(cell: Cell, sight: Sight) -> None:
    consumer = AIOKafkaConsumer(
        cell.out, bootstrap_servers=cell.broker, isolation_level="read_committed", auto_offset_reset="earliest",
        enable_auto_commit=False,
    )  # fmt: skip
    await consumer.start()
    try:
        while True:
            fetched = await consumer.getmany(timeout_ms=200)
            at = time.time()
            for records in fetched.values():
                for record in records:
                    sight.take(record.value, at)
            sight.arrived.set()
    finally:
        await consumer.stop()
