"""What each user saw of a change, from the topics alone: the longest that a record of it waited from append to decision.

Owns reading the journal of a span of time. A record that was sent on counts from where and when it was appended first.
"""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from app.contract.times import MILLISECOND_US, parse_us
from app.contract.topics import JOURNAL
from app.reading import PartitionReader
from app.settings import Settings

ON_THEIR_WAY = ("forwarded", "moved_out", "moved_in")


class Waits(NamedTuple):
    """Milliseconds over the users: of each its longest wait."""

    users: int
    p50: float
    p99: float
    max: float


def quantiles(ms: Sequence[float]) -> Waits:
    ordered = sorted(ms) or [0.0]
    last = len(ordered) - 1
    return Waits(len(ms), ordered[last // 2], ordered[last * 99 // 100], ordered[last])


async def waits(settings: Settings, partitions: int, from_us: int, until_us: int) -> tuple[Waits, Waits, Waits]:
    """(of users that moved, of those that stayed, of all) whose records were appended in that span."""
    longest: dict[str, float] = {}
    moved: set[str] = set()
    for partition in range(partitions):
        async with PartitionReader(settings.kafka(), settings.topic(JOURNAL), partition) as journal:
            while (stored := await journal.take()) is not None:
                body = orjson.loads(stored.value)
                unit, latency = body["unit"], body["latency"]
                appended_us = parse_us(latency["appended_ts"])
                if unit is None or not from_us <= appended_us <= until_us:
                    continue
                if body["status"] == "moved_in":
                    moved.add(unit)
                if body["status"] in ON_THEIR_WAY or body["input"]["topic"] == "ticks":
                    continue
                waited = (parse_us(latency["decided_ts"]) - appended_us) / MILLISECOND_US
                longest[unit] = max(waited, longest.get(unit, 0.0))
    of_moved = [ms for unit, ms in longest.items() if unit in moved]
    of_others = [ms for unit, ms in longest.items() if unit not in moved]
    return quantiles(of_moved), quantiles(of_others), quantiles(of_moved + of_others)
