"""What clients send in these tests: the fire drill's load, with the place of every acknowledged input kept."""

import asyncio
import itertools
from typing import Any

import orjson

from app.chaos.journal import Input, JournalReader
from app.chaos.load import Load
from app.chaos.records import Records, Sent, acknowledgement, envelope
from app.settings import Settings

__all__ = ["Traffic", "acknowledgement", "envelope"]


class Traffic(Load):
    """Use as an async context manager. `sent` holds the place of every acknowledged input."""

    def __init__(self, settings: Settings, seed: int, users: int = 60, journal: JournalReader | None = None) -> None:
        super().__init__(settings, Records(seed, users), journal)
        self.sent: set[Input] = set()

    async def send(self, event_name: str, value: dict[str, Any] | bytes, key: str | None = None) -> Input:
        """One record: where it is. key None: the user of `value`."""
        if isinstance(value, bytes):
            return await self.deliver(Sent(event_name, key, value))
        return await self.deliver(Sent(event_name, key if key is not None else value["user_id"], orjson.dumps(value)))

    async def burst(self, count: int) -> None:
        """`count` records of every kind, as fast as they go."""
        records = itertools.islice(self.records, count)
        await asyncio.gather(*(self.deliver(record) for record in records))

    def _note(self, topic: str, done: Any) -> None:
        super()._note(topic, done)
        self.sent.add((topic, done.partition, done.offset))
