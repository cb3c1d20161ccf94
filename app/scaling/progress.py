"""How far the units have come, from the journal: who has moved, who still has to, and how long each was nowhere.

Owns following `decisions` from the record on with which the moving began, and the question whether links of before are unread.
Refuses arithmetic on offsets: transaction markers take offsets too.
"""

import asyncio
from array import array
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Any, NamedTuple, Self

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.contract.times import MILLISECOND_US, parse_us
from app.contract.topics import IDENTITY_LINKS, JOURNAL
from app.settings import Settings
from app.stream.admin import admin_client
from app.stream.reading import read_to_end

POLL_MS = 200
# The writers of the journal and of governance have clocks of their own.
CLOCKS_MS = 60_000
MOVED = b'"status":"moved_'
QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


class Pauses:
    """Milliseconds in which a unit lived in neither partition. Memory: eight bytes a unit."""

    def __init__(self) -> None:
        self._ms = array("d")

    def add(self, ms: float) -> None:
        self._ms.append(ms)

    @property
    def count(self) -> int:
        return len(self._ms)

    def quantiles(self) -> dict[str, float]:
        """{"p50": .., "p99": .., "max": ..}; empty before the first."""
        ordered = sorted(self._ms)
        return {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in QUANTILES.items() if ordered}


class Counts(NamedTuple):
    """ended: new partitions that know that their old one has no unit left, of so many."""

    left: int
    arrived: int
    ended: int
    of: int


class Progress:
    """Of the change from `previous` to `count` partitions. Use as an async context manager."""

    def __init__(self, settings: Settings, previous: int, count: int, since_us: int) -> None:
        self.pauses = Pauses()
        self._settings = settings
        self._new = range(previous, count)
        self._count = count
        self._since_ms = since_us // MILLISECOND_US - CLOCKS_MS
        self._left = self._arrived = 0
        self._ended: set[int] = set()
        self._under_way: dict[tuple[str, int], int] = {}  # (unit, to) -> moment at which one end of its move was decided

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            **self._settings.kafka(), isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="none"
        )
        await self._consumer.start()
        topic = self._settings.topic(JOURNAL)
        places = [TopicPartition(topic, partition) for partition in range(self._count)]
        self._consumer.assign(places)
        for place in places:
            self._consumer.seek(place, 0)  # before anything is awaited: aiokafka would look for a position of its own
        found = await self._consumer.offsets_for_times(dict.fromkeys(places, self._since_ms))
        ends = await self._consumer.end_offsets(places)
        for place, start in found.items():
            self._consumer.seek(place, ends[place] if start is None else start.offset)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    def counts(self) -> Counts:
        return Counts(self._left, self._arrived, len(self._ended), len(self._new))

    @property
    def ended(self) -> bool:
        return self._ended == set(self._new)

    async def look(self) -> bool:
        """Takes what the journal has; whether anything was written to it at all."""
        batches = await self._consumer.getmany(timeout_ms=POLL_MS)
        for place, records in batches.items():
            for record in records:
                if record.value and MOVED in record.value:
                    self._take(orjson.loads(record.value), place.partition)
        return bool(batches)

    def _take(self, body: dict[str, Any], partition: int) -> None:
        ended, moved = body.get("ended"), body.get("moved")
        if ended is not None and ended["partitions"] == self._count and "from" in ended:
            self._ended.add(partition)
        if moved is None or self._is_part(moved):
            return
        decided_us = parse_us(body["latency"]["decided_ts"])
        leaves = body["status"] == "moved_out"
        to = moved["to"] if leaves else partition
        if to not in self._new:
            return
        self._left += leaves
        self._arrived += not leaves
        # The partitions are read side by side: an arrival may be seen before its departure.
        other_us = self._under_way.pop((body["unit"], to), None)
        if other_us is None:
            self._under_way[body["unit"], to] = decided_us
        else:
            self.pauses.add(abs(decided_us - other_us) / MILLISECOND_US)

    @staticmethod
    def _is_part(moved: dict[str, Any]) -> bool:
        return "part" in moved and moved["part"] < moved["parts"] - 1


async def until_read(settings: Settings, partitions: Iterable[int], waiting: Callable[[int], None]) -> None:
    """Returns when every link that is in its topic now has been consumed. waiting: told how many are not."""
    topic = settings.topic(IDENTITY_LINKS)
    places = [TopicPartition(topic, partition) for partition in partitions]
    ends = await _committed_ends(settings, places)
    while unread := await _unread(settings, places, ends):
        waiting(unread)
        await asyncio.sleep(POLL_MS / 1000)


async def _committed_ends(settings: Settings, places: list[TopicPartition]) -> dict[TopicPartition, int]:
    async with AIOKafkaConsumer(**settings.kafka(), isolation_level="read_committed", enable_auto_commit=False) as consumer:
        return dict(await consumer.end_offsets(places))


async def _unread(settings: Settings, places: list[TopicPartition], ends: dict[TopicPartition, int]) -> int:
    """Links before `ends` and behind the group's committed offsets."""
    async with admin_client(settings) as admin:
        committed = await admin.list_consumer_group_offsets(settings.app_id, partitions=places)
    starts = {place: max(0, committed[place].offset) for place in places if place in committed}
    behind: dict[TopicPartition, int | None] = {
        place: starts.get(place, 0) for place in places if starts.get(place, 0) < ends[place]
    }
    count = 0
    async with aclosing(read_to_end(settings, behind)) as records:
        async for record in records:
            count += record.offset < ends[TopicPartition(record.topic, record.partition)]
    return count
