"""The order in which the records of one partition group are processed: by (timestamp, topic), offset order kept inside a topic.

Owns: what is fetched and not yet processed, and the merge of the topics. Refuses: waiting for what the broker does not have.

A topic whose records are all taken, while the broker is known to hold more, blocks the others: after a pause a whole backlog
comes in at once, and an acknowledgement must not overtake the signal it answers. (Kafka Streams does the same, KIP-695.) It is
best effort all the same, and replay does not depend on it: the journal holds the order that happened.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

# What a record takes in memory beside its value: the object, its key, its places in lists.
RECORD_BYTES = 250


class Run(NamedTuple):
    """Consecutive records of one topic, as aiokafka's record objects (offset, timestamp in ms, key, value, headers).

    size_bytes: what they hold in memory; shared out evenly where a run is divided, so that only sums are exact.
    """

    topic: str
    records: list[Any]
    size_bytes: int = 0

    def divided(self, count: int) -> tuple["Run", "Run"]:
        """(the first `count` records, the rest)"""
        first = self.size_bytes * count // len(self.records)
        return (
            Run(self.topic, self.records[:count], first),
            Run(self.topic, self.records[count:], self.size_bytes - first),
        )


class _Head:
    """The untaken records of a topic."""

    __slots__ = ("index", "records", "size_bytes", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.records: list[Any] = []
        self.index = 0
        self.size_bytes = 0  # of the untaken ones

    def add(self, records: Sequence[Any]) -> None:
        self.records = [*self.records[self.index :], *records]
        self.index = 0
        self.size_bytes += sum([len(record.value or b"") for record in records]) + RECORD_BYTES * len(records)

    def take(self, other: tuple[int, str] | None, limit: int) -> Run:
        """The records that come before `other`, at least one and at most `limit`."""
        records, start = self.records, self.index
        stop = min(len(records), start + limit)
        if other is not None:
            index = start + 1
            latest = other[0] if self.topic < other[1] else other[0] - 1
            while index < stop and records[index].timestamp <= latest:
                index += 1
            stop = index
        taken = records[start:stop]
        size_bytes = self.size_bytes * len(taken) // (len(records) - start)
        self.size_bytes -= size_bytes
        if stop == len(records):
            self.records, self.index = [], 0
        else:
            self.index = stop
        return Run(self.topic, taken, size_bytes)


class Backlog:
    """Fetched and not yet processed records of one partition group."""

    def __init__(self, topics: Iterable[str]) -> None:
        self._heads = {topic: _Head(topic) for topic in topics}

    def __bool__(self) -> bool:
        return any(head.records for head in self._heads.values())

    def size(self, topic: str) -> int:
        head = self._heads[topic]
        return len(head.records) - head.index

    @property
    def size_bytes(self) -> int:
        """What it holds in memory."""
        return sum([head.size_bytes for head in self._heads.values()])

    def total(self) -> int:
        """Records of all topics."""
        return sum(map(self.size, self._heads))

    def add(self, topic: str, records: Sequence[Any]) -> None:
        if records:
            self._heads[topic].add(records)

    def clear(self) -> None:
        self._heads = {topic: _Head(topic) for topic in self._heads}

    def take(self, limit: int, behind: Callable[[str], bool]) -> list[Run]:
        """At most `limit` records in order; fewer, or none, where a topic that is `behind` has nothing here to compare with."""
        if any(behind(topic) for topic, head in self._heads.items() if not head.records):
            return []
        # (timestamp of its next record, topic) of each topic that has one
        heap = [(head.records[head.index].timestamp, topic) for topic, head in self._heads.items() if head.records]
        heapq.heapify(heap)
        runs: list[Run] = []
        while heap and limit > 0:
            head = self._heads[heap[0][1]]
            run = head.take(_second(heap), limit)
            runs.append(run)
            limit -= len(run.records)
            if head.records:
                heapq.heapreplace(heap, (head.records[head.index].timestamp, head.topic))
            else:
                heapq.heappop(heap)
                if behind(head.topic):
                    break
        return runs


def _second(heap: list[tuple[int, str]]) -> tuple[int, str] | None:
    """The second smallest of a heap is one of the root's children."""
    if len(heap) < 3:
        return heap[1] if len(heap) == 2 else None
    return heap[1] if heap[1] < heap[2] else heap[2]
