"""The order in which the records of one partition group are processed.

Owns: merging what was fetched from several topics by (timestamp, topic), offset order kept inside a topic.
Refuses: waiting for a slower topic. The order is best effort; replay does not depend on it, the journal holds what happened.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Run(NamedTuple):
    """Consecutive records of one topic, as aiokafka's record objects (offset, timestamp in ms, key, value, headers)."""

    topic: str
    records: Sequence[Any]


def merge(fetched: Sequence[Run]) -> list[Run]:
    """Runs in processing order: always the topic whose next record is oldest, for as long as it stays oldest."""
    if len(fetched) == 1:
        return list(fetched)
    merged: list[Run] = []
    heads = [[run.topic, run.records, 0] for run in fetched if run.records]
    while len(heads) > 1:
        heads.sort(key=_head)
        first, second = heads[0], heads[1]
        topic, records, start = first
        stop = _stop(records, start + 1, _head(second), topic)
        merged.append(Run(topic, records[start:stop]))
        if stop == len(records):
            heads.remove(first)
        else:
            first[2] = stop
    topic, records, start = heads[0]
    merged.append(Run(topic, records[start:]))
    return merged


def _head(head: list[Any]) -> tuple[int, str]:
    topic, records, index = head
    return records[index].timestamp, topic


def _stop(records: Sequence[Any], index: int, other: tuple[int, str], topic: str) -> int:
    """Index of the first record from `index` on that does not come before `other`."""
    other_timestamp, other_topic = other
    ties = topic < other_topic
    count = len(records)
    while index < count:
        timestamp = records[index].timestamp
        if timestamp > other_timestamp or (timestamp == other_timestamp and not ties):
            break
        index += 1
    return index
