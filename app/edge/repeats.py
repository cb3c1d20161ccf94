"""Copies of late records that are in the log already, looked for in the one stretch where the worker would miss them.

With r the moment of receipt, a that of the late append and w the de-duplication window (broker time), the worker recognises a
copy that was appended in [a - w, a]. One from before r - w was out of the window even for a record without delay. So the
stretch is [r - w, a - w], as long as the delay; a slack on both sides allows for clocks that differ and the time this takes.
Reads the log and nothing else, decides nothing: the engine stays a function of the record, the rows and the log.
"""

import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from app.contract.envelope import Signal, parse_signal
from app.edge.record import Record
from app.settings import Settings
from app.stream.admin import admin_client, partition_counts

SLACK_US = 600_000_000
RECORDS_AT_ONCE = 5_000
FETCH_MS = 500
# Something is there to be read and does not come: the broker is gone again.
SILENCE_SECONDS = 15.0
DIGEST_BYTES = 16


def identity(topic: str, key: bytes | None, event_id: str) -> bytes:
    """What makes two records the same event: its type, its unit and its id."""
    return blake2b(b"\0".join((topic.encode(), key or b"", event_id.encode())), digest_size=DIGEST_BYTES).digest()


class Late:
    """Which records to look for: about a quarter of what a spool of small events takes on disk, never the events themselves."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self.keys: set[bytes | None] = set()
        self.identities: set[bytes] = set()
        self.first_received_us = time.time_ns() // 1_000

    def add(self, record: Record) -> None:
        self.topics.add(record.topic)
        self.keys.add(record.key)
        self.identities.add(identity(record.topic, record.key, record.event_id))
        self.first_received_us = min(self.first_received_us, record.received_us)

    def __len__(self) -> int:
        return len(self.identities)


async def copies_in_log(settings: Settings, late: Late, window_us: int) -> dict[bytes, int]:
    """The identities that are there, with the offset of the first copy. Raises what aiokafka raises."""
    async with admin_client(settings) as admin:  # a topic that is not there holds no copy
        counts = await partition_counts(admin, map(settings.topic, late.topics))
    partitions = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
    if not partitions:
        return {}
    async with AIOKafkaConsumer(**settings.kafka(), isolation_level="read_committed", enable_auto_commit=False) as consumer:
        first_ms = max(0, (late.first_received_us - window_us - SLACK_US) // 1_000)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, first_ms))
        begins = {partition: place.offset for partition, place in found.items() if place is not None}
        ends = await consumer.end_offsets(partitions)
        search = _Search(settings, late, window_us)
        if begins:
            consumer.assign(list(begins))
            for partition, offset in begins.items():
                consumer.seek(partition, offset)
        while unread := [tp for tp in begins if tp not in search.passed and await consumer.position(tp) < ends[tp]]:
            search.look(await consumer.getmany(*unread, timeout_ms=FETCH_MS, max_records=RECORDS_AT_ONCE))
        return search.copies


class _Search:
    """What was found so far. passed: the partitions that were read to the end of the stretch."""

    def __init__(self, settings: Settings, late: Late, window_us: int) -> None:
        self.copies: dict[bytes, int] = {}
        self.passed: set[TopicPartition] = set()
        self._settings = settings
        self._late = late
        self._window_us = window_us
        self._heard_at = time.monotonic()

    def look(self, batches: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        now = time.monotonic()
        if batches:
            self._heard_at = now
        elif now - self._heard_at > SILENCE_SECONDS:
            raise KafkaTimeoutError("no answer while looking for copies of spooled events")
        # Asked anew each time: the end of the stretch moves with the clock.
        last_ms = (time.time_ns() // 1_000 - self._window_us + SLACK_US) // 1_000
        for partition, records in batches.items():
            if records[-1].timestamp > last_ms:
                self.passed.add(partition)
            topic = self._settings.topic_base(partition.topic)
            for record in records:
                if record.key in self._late.keys:
                    self._compare(topic, record)

    def _compare(self, topic: str, record: ConsumerRecord) -> None:
        signal = parse_signal(record.value or b"")
        if isinstance(signal, Signal):
            name = identity(topic, record.key, signal.event_id)
            if name in self._late.identities:
                self.copies.setdefault(name, record.offset)
