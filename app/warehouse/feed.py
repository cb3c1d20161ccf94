"""What comes from Kafka: committed records of the warehouse's topics, from given offsets on, in pieces.

Owns one consumer outside any group, and the governance log with its fold. Refuses to guess where it should go on: offsets that
retention has removed, or that lie behind the end of the topic, are an error that says so.
"""

import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import NamedTuple, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from app.contract.topics import GOVERNANCE
from app.errors import OperatorError
from app.governance.fold import Fold
from app.governance.keys import root_public_key
from app.governance.log import Entry, GovernanceLog
from app.reach import explained
from app.settings import Settings
from app.warehouse.rows import SourceRecord

# Of one fetch; a piece is at most so many records of one partition.
FETCH_BYTES = 8 << 20
PARTITION_FETCH_BYTES = 1 << 20
PIECE_RECORDS = 2_000
RETRY_BACKOFF_MS = 5
# How soon a partition that was added to a topic is read.
METADATA_AGE_MS = 10_000

NextOffset = Callable[[str, int], int]


class Piece(NamedTuple):
    """Consecutive records of one partition. next_offset: where the partition goes on, past markers of transactions too."""

    topic: str
    partition: int
    records: list[SourceRecord]
    next_offset: int


class Marks(NamedTuple):
    """Where a partition goes on, and up to where at least one table has it already. Asked of (topic, partition)."""

    start: NextOffset
    held: NextOffset


class Loss(NamedTuple):
    """Offsets that retention removed before they were read: from `begin` up to, not including, `end`."""

    topic: str
    partition: int
    begin: int
    end: int

    def __str__(self) -> str:
        return f"{self.topic} partition {self.partition}, offsets {self.begin} to {self.end - 1}"


class Feed:
    """Use as an async context manager. topics: the contract's names -> partitions.

    losses: what `accept_loss` went over, in order.
    """

    def __init__(self, settings: Settings, topics: Mapping[str, list[int]], marks: Marks, *, accept_loss: bool) -> None:
        self._settings = settings
        self._marks = marks
        self._accept_loss = accept_loss
        self._next = {
            TopicPartition(settings.topic(topic), partition): marks.start(topic, partition)
            for topic, partitions in topics.items()
            for partition in partitions
        }
        self._ends: dict[TopicPartition, int] = {}
        self._consumer = AIOKafkaConsumer(
            **settings.kafka(),
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            max_poll_records=PIECE_RECORDS,
            retry_backoff_ms=RETRY_BACKOFF_MS,
            metadata_max_age_ms=METADATA_AGE_MS,
        )
        self.losses: list[Loss] = []
        self.asked_us = 0

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            await self._place(list(self._next))
            await self.look()
        except KafkaError as error:
            await self._consumer.stop()
            raise await explained(error, self._settings.kafka(), "the warehouse's topics") from error
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def look(self) -> None:
        """Asks where the topics end now, and takes in partitions that have been added."""
        asked_us = time.time_ns() // 1000
        added = [place for place in self._partitions() if place not in self._next]
        if added:
            self._next |= {place: self._marks.start(self._settings.topic_base(place.topic), place.partition) for place in added}
            await self._place(added)
        self._ends = await self._consumer.end_offsets(list(self._next))
        self.asked_us = asked_us

    async def reached(self) -> bool:
        """Whether all that was there at the last look has been taken."""
        for place, end in self._ends.items():
            if self._next[place] < end:
                # Behind the last record there may be nothing but markers, which bring no piece.
                self._next[place] = max(self._next[place], await self._consumer.position(place))
                if self._next[place] < end:
                    return False
        return True

    def positions(self) -> dict[tuple[str, int], int]:
        return {(self._settings.topic_base(place.topic), place.partition): at for place, at in self._next.items()}

    async def take(self, wait_ms: int) -> list[Piece]:
        """What has come; waits a bounded time for the first."""
        try:
            batches = await self._consumer.getmany(timeout_ms=wait_ms, max_records=PIECE_RECORDS)
        except OffsetOutOfRangeError as error:
            raise OperatorError(
                f"retention removed records while they were read ({error})", "Start the sync again: it says what is gone"
            ) from error
        except KafkaError as error:
            raise await explained(error, self._settings.kafka(), "the warehouse's topics") from error
        pieces = []
        for place, records in batches.items():
            self._next[place] = records[-1].offset + 1
            topic = self._settings.topic_base(place.topic)
            pieces.append(Piece(topic, place.partition, [_source(topic, r) for r in records], self._next[place]))
        return pieces

    def _partitions(self) -> list[TopicPartition]:
        topics = sorted({place.topic for place in self._next})
        return [TopicPartition(topic, p) for topic in topics for p in sorted(self._consumer.partitions_for_topic(topic) or ())]

    async def _place(self, new: list[TopicPartition]) -> None:
        """Checks the new places against what the topics hold, then reads all from where each stands."""
        begins = await self._consumer.beginning_offsets(new)
        ends = await self._consumer.end_offsets(new)
        for place in new:
            self._check(place, begins[place], ends[place])
        self._consumer.assign(list(self._next))
        for place, offset in self._next.items():
            self._consumer.seek(place, offset)

    def _check(self, place: TopicPartition, begin: int, end: int) -> None:
        at, topic = self._next[place], self._settings.topic_base(place.topic)
        held = self._marks.held(topic, place.partition)
        if held > end:
            raise OperatorError(
                f"the warehouse has {place.topic} partition {place.partition} up to offset {held}, but it ends at {end}",
                "The topic was made anew: sync it into a warehouse of its own (TRUELIFT_WAREHOUSE_DIR)",
            )
        if at >= begin:
            return
        if at > 0:
            loss = Loss(topic, place.partition, at, begin)
            if not self._accept_loss:
                raise OperatorError(
                    f"retention removed what was not synced yet: {loss}",
                    "It is gone from Kafka; go on behind it with --accept-loss, which leaves a row in the table `unreadable`",
                )
            self.losses.append(loss)
        self._next[place] = begin


class GovernanceFeed:
    """The governance log from its first record on, each with what the fold made of it. An async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._fold = Fold(root_public_key(settings))
        self._log = GovernanceLog(settings)
        self.genesis: str | None = None

    async def __aenter__(self) -> Self:
        await self._log.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._log.__aexit__(None, None, None)

    async def take(self) -> Piece:
        """All that has come since the last time. genesis: the hash of the log's first record, which no two logs share."""
        end = await self._log.end()
        entries: list[Entry] = []
        await self._log.read(end, entries.append)
        if self.genesis is None and entries:
            self.genesis = sha256(entries[0].raw or b"").hexdigest()
        records = [self._judged(entry) for entry in entries]
        return Piece(GOVERNANCE, 0, records, entries[-1].offset + 1 if entries else end)

    def _judged(self, entry: Entry) -> SourceRecord:
        refusal = self._fold.apply(*entry)
        return SourceRecord(GOVERNANCE, 0, entry.offset, entry.append_us // 1000, None, entry.raw or b"", refusal)


def _source(topic: str, record: ConsumerRecord) -> SourceRecord:
    return SourceRecord(topic, record.partition, record.offset, record.timestamp, record.key, record.value or b"")
