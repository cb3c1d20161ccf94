"""What lives in each partition, counted from the changelogs: the rows that a change of the partition count moves.

Units, assignments and timers are exact. Event ids are counted as written less deleted, since a set of them all would not fit:
a compacted changelog may have lost a few of either.
"""

from collections.abc import Callable
from contextlib import aclosing
from typing import NamedTuple

import orjson
from aiokafka import TopicPartition

from app.contract.partitions import partition_of
from app.engine.values import ASSIGNMENTS, ELIGIBILITY, SEEN, TIMERS
from app.settings import Settings
from app.stream.config import changelog_of
from app.stream.reading import read_to_end

# app/engine/rows.py files an id as one byte, four of day, the unit, a separator, sixteen of id; a timer's row names its unit.
_UNIT_OF_ID = slice(5, -17)
_TIMER = b"t"
EXAMPLES = 5

OnRead = Callable[[int], None]


class Inventory(NamedTuple):
    """By table: rows there are, and those of units that move. strays: units outside of the partition that murmur2 gives."""

    units: int
    moving_units: int
    rows: dict[str, int]
    moving_rows: dict[str, int]
    strays: int
    stray_examples: tuple[str, ...]
    most_in_one: int  # units that the partition with the most of them gives up


async def take_inventory(settings: Settings, present: dict[str, int], previous: int, count: int, read: OnRead) -> Inventory:
    """present: topics on the cluster with their partitions. read: told how many records have been read."""
    counter = _Counter(previous, count)
    done = 0
    for table in (ELIGIBILITY, ASSIGNMENTS, TIMERS, SEEN):
        topic = changelog_of(settings.app_id, table)
        starts: dict[TopicPartition, int | None] = {
            TopicPartition(topic, partition): None for partition in range(present.get(topic, 0))
        }
        async with aclosing(read_to_end(settings, starts)) as records:
            async for record in records:
                counter.take(table, record.partition, record.key, record.value)
                done += 1
                if done % 1_000 == 0:
                    read(done)
    return counter.inventory()


class _Counter:
    """Memory: a number for each unit and timer."""

    def __init__(self, previous: int, count: int) -> None:
        self._previous = previous
        self._count = count
        self._units: dict[str, dict[bytes, int]] = {ELIGIBILITY: {}, ASSIGNMENTS: {}}  # key -> partition
        self._timers: dict[bytes, bool] = {}  # key -> whether it moves
        self._ids = self._moving_ids = 0

    def take(self, table: str, partition: int, key: bytes, value: bytes | None) -> None:
        if table == SEEN:
            sign = 1 if value is not None else -1
            self._ids += sign
            self._moving_ids += sign * self._moves(key[_UNIT_OF_ID].decode())
        elif table == TIMERS:
            self._take_timer(key, value)
        elif value is None:
            if self._units[table].get(key) == partition:
                del self._units[table][key]
        else:
            self._units[table][key] = partition

    def _take_timer(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self._timers.pop(key, None)
        elif key.startswith(_TIMER):
            self._timers[key] = self._moves(orjson.loads(value)["unit"])

    def _moves(self, unit: str) -> bool:
        return partition_of(unit, self._count) != partition_of(unit, self._previous)

    def inventory(self) -> Inventory:
        units = self._units[ASSIGNMENTS] | self._units[ELIGIBILITY]
        moving = {key for key in units if self._moves(key.decode())}
        strays = [key.decode() for key, partition in units.items() if partition_of(key.decode(), self._previous) != partition]
        given_up = [0] * self._previous
        for key in moving:
            given_up[partition_of(key.decode(), self._previous)] += 1
        rows = {table: len(keys) for table, keys in self._units.items()}
        moving_rows = {table: len(keys.keys() & moving) for table, keys in self._units.items()}
        return Inventory(
            len(units),
            len(moving),
            rows | {TIMERS: len(self._timers), SEEN: max(0, self._ids)},
            moving_rows | {TIMERS: sum(self._timers.values()), SEEN: max(0, self._moving_ids)},
            len(strays),
            tuple(sorted(strays)[:EXAMPLES]),
            max(given_up, default=0),
        )
