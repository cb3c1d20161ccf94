"""Kafka as the keeper sees it: takes records, or does not answer, as a test says."""

import asyncio
from collections.abc import Sequence

from aiokafka.errors import KafkaConnectionError

from app.edge.record import Record


class FakeKafka:
    """records: what it has, in order. down: every append fails. slow: appends wait until it is set free."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.down = False
        self.free = asyncio.Event()
        self.free.set()

    async def append(self, records: Sequence[Record]) -> None:
        await self.free.wait()
        if self.down:
            raise KafkaConnectionError("down")
        self.records += records

    def disconnect(self) -> None:
        return

    @property
    def ids(self) -> list[str]:
        return [record.event_id for record in self.records]


def record(event_id: str, size: int = 0) -> Record:
    return Record("events.page_view", b"u-1", b"x" * size, event_id, 1)
