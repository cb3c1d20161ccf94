"""Reading topics for audits: one partition in offset order, committed records only, a bounded piece at a time.

Owns where a partition begins (retention), where it ended when the reader was opened, and the buffer between. Refuses to
write, to join a consumer group and to guess: records that retention takes away while they are read are an error.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from app.errors import OperatorError
from app.reach import explained
from app.settings import Settings

# Of one reader: what a fetch brings at most, and how many records of it are decoded at once.
FETCH_BYTES = 1 << 20
PIECE_RECORDS = 2_000
# A fetch that brings nothing but transaction markers wakes nobody: the position is looked at again after this time.
LOOK_AGAIN_MS = 20
# A client's first question about a topic finds no leader yet and is asked again: the default 100 ms would be most of a start.
RETRY_BACKOFF_MS = 5


class StoredRecord(NamedTuple):
    """A record as it stands in the log. timestamp_ms: the broker's for an input topic (LogAppendTime)."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes


class PartitionReader:
    """begin: the first offset still there; end: one past the last committed when opened. `start` skips ahead of begin."""

    def __init__(self, kafka: dict[str, Any], topic: str, partition: int, start: int = 0) -> None:
        self.topic = topic
        self.partition = partition
        self.begin = self.end = 0
        self._start = start
        self._kafka = kafka
        self._place = TopicPartition(topic, partition)
        self._consumer = AIOKafkaConsumer(
            **kafka,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_BYTES,
            retry_backoff_ms=RETRY_BACKOFF_MS,
        )
        self._ahead: deque[ConsumerRecord] = deque()
        self._next_offset = 0
        self.reached_end = False

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            self.begin = (await self._consumer.beginning_offsets([self._place]))[self._place]
            self.end = (await self._consumer.end_offsets([self._place]))[self._place]
        except KafkaError as error:
            await self._consumer.stop()
            raise await explained(error, self._kafka, f"{self.topic} partition {self.partition}") from error
        self._next_offset = max(self.begin, self._start)
        # Assigned and placed without a pause between: aiokafka looks for a position of its own where there is none.
        self._consumer.assign([self._place])
        self._consumer.seek(self._place, self._next_offset)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def peek(self) -> StoredRecord | None:
        """The next record, None at the end. It stays the next one until `take`."""
        if not self._ahead:
            await self._fill()
        return _stored(self._ahead[0]) if self._ahead else None

    async def take(self) -> StoredRecord | None:
        """The next record, None at the end."""
        if not self._ahead:
            await self._fill()
        return _stored(self._ahead.popleft()) if self._ahead else None

    async def upcoming(self, count: int) -> Sequence[StoredRecord]:
        """The next `count` records, or as many as are left, without taking them."""
        while len(self._ahead) < count and not self.reached_end:
            await self._fill()
        return [_stored(self._ahead[i]) for i in range(min(count, len(self._ahead)))]

    async def extend(self, wait_seconds: float) -> bool:
        """Waits, with a bound, until more has been committed behind the end that stood when opened; then reads on to there."""
        deadline = time.monotonic() + wait_seconds
        while True:
            end = (await self._consumer.end_offsets([self._place]))[self._place]
            if end > self.end:
                self.end, self.reached_end = end, False
                return True
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(LOOK_AGAIN_MS / 1000)

    async def _fill(self) -> None:
        while not self.reached_end:
            if self._next_offset >= self.end:
                self.reached_end = True
                return
            try:
                found = await self._consumer.getmany(self._place, timeout_ms=LOOK_AGAIN_MS, max_records=PIECE_RECORDS)
            except OffsetOutOfRangeError as error:
                raise OperatorError(
                    f"retention removed records of {self.topic} partition {self.partition} while they were read",
                    "Run it again: what is gone is then counted",
                ) from error
            except KafkaError as error:
                raise await explained(error, self._kafka, f"{self.topic} partition {self.partition}") from error
            self._next_offset = await self._consumer.position(self._place)
            records = [record for record in found.get(self._place, ()) if record.offset < self.end]
            if records:
                self._ahead.extend(records)
                return


def _stored(record: ConsumerRecord) -> StoredRecord:
    return StoredRecord(record.offset, record.timestamp, record.key, record.value or b"")


async def beginnings(settings: Settings, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """The first offset that retention has left of each (topic on the cluster, partition)."""
    consumer = AIOKafkaConsumer(**settings.kafka(), enable_auto_commit=False, retry_backoff_ms=RETRY_BACKOFF_MS)
    try:
        await consumer.start()
        found = await consumer.beginning_offsets([TopicPartition(*place) for place in places])
    except KafkaError as error:
        raise OperatorError(
            f"the beginnings of {len(places)} partitions cannot be read ({type(error).__name__} {error})",
            "Check the broker, the topics with `truelift topics check`, and the rights of this client",
        ) from error
    finally:
        await consumer.stop()
    return {(place.topic, place.partition): offset for place, offset in found.items()}


async def topics_here(settings: Settings) -> dict[str, list[int]]:
    """Partitions of every topic of this installation on the cluster, by the contract's name."""
    admin = AIOKafkaAdminClient(**settings.kafka())
    try:
        await admin.start()
        names = sorted(name for name in await admin.list_topics() if name.startswith(settings.topic_prefix))
        answers = await admin.describe_topics(names) if names else []
    except KafkaError as error:
        raise await explained(error, settings.kafka(), "its topics") from error
    finally:
        await admin.close()
    return {
        settings.topic_base(answer["topic"]): sorted(partition["partition"] for partition in answer["partitions"])
        for answer in answers
        if not answer["error_code"]
    }
