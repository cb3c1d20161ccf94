"""One partition's history: each journal record in order, with the input record that it names.

Owns the pairing and what can be wrong with it: an input that retention took, one that the journal names twice or skips.
Each input topic is read forward once, so memory does not grow with the history. Refuses to judge what a record says.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any, Literal, NamedTuple, Self

import orjson

from app.contract.times import parse_us
from app.contract.topics import EVENT_PREFIX, IDENTITY_LINKS, JOURNAL, TICKS
from app.engine.values import InputRecord, Moment
from app.errors import OperatorError
from app.reading import PartitionReader, StoredRecord
from app.replay.position import BEGINNING, Position
from app.settings import Settings

Trouble = Literal["unreadable", "duplicate", "not_in_topic", "retention"]


class Journalled(NamedTuple):
    """A journal record, and of its body what a replay needs."""

    offset: int
    key: bytes | None
    raw: bytes
    body: dict[str, Any]
    topic: str
    input_offset: int
    unit: str | None
    status: str
    governance_offset: int
    governance_stale: bool
    poison: bool
    engine_semantics: int
    decided_us: int
    partitions: int

    @property
    def moment(self) -> Moment:
        return Moment(self.decided_us, self.governance_stale, self.partitions)


class Paired(NamedTuple):
    """trouble None: `journalled` and `record` are there. `stored` is the journal record as it lies in the topic."""

    stored: StoredRecord
    journalled: Journalled | None
    record: InputRecord | None
    trouble: Trouble | None


def is_input(topic: str) -> bool:
    """Whether the contract's topic name is one that agents consume."""
    return topic.startswith(EVENT_PREFIX) or topic in (IDENTITY_LINKS, TICKS)


class PartitionHistory:
    """Use as an async context manager. on_missing: told each input record, ticks aside, that the journal passed over.

    start: where the reading begins. OperatorError when the journal ends before that: then it is not this journal's.
    """

    def __init__(
        self,
        settings: Settings,
        partition: int,
        topics: Iterable[str],
        on_missing: Callable[[InputRecord], None],
        start: Position = BEGINNING,
    ) -> None:
        self.partition = partition
        self.start = start
        self._settings = settings
        self._input_topics = [name for name in topics if is_input(name)]
        self._on_missing = on_missing
        self._inputs: dict[str, InputTopic] = {}
        self._stack = AsyncExitStack()
        self.journal = self.reader(JOURNAL, start.journal)
        self.next_journal = start.journal

    def reader(self, name: str, start: int = 0, partition: int | None = None) -> PartitionReader:
        """partition None: this one."""
        place = self.partition if partition is None else partition
        return PartitionReader(self._settings.kafka(), self._settings.topic(name), place, start)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.journal)
        if self.journal.end < self.start.journal:
            await self._stack.aclose()
            raise OperatorError(
                f"the checkpoint is at offset {self.start.journal} of {self.journal.topic} partition {self.partition}, "
                f"which ends at {self.journal.end}",
                "Read the installation that it was made of (TRUELIFT_BROKER, TRUELIFT_TOPIC_PREFIX), or find who cut the topic",
            )
        return self

    @property
    def reaches_start(self) -> bool:
        """Whether the journal is there from `start` on: else no state can be built of what is left."""
        return self.journal.begin <= self.start.journal

    @property
    def next_inputs(self) -> dict[str, int]:
        """By topic, the offset after the last one that the journal has named."""
        opened = {name: topic.next_offset for name, topic in self._inputs.items() if topic.next_offset}
        return {**self.start.inputs, **opened}

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self, reader: PartitionReader) -> PartitionReader:
        """A reader that is closed with this history."""
        return await self._stack.enter_async_context(reader)

    async def pairs(self, is_over: Callable[[Journalled], bool] = lambda _: False) -> AsyncIterator[Paired]:
        """Up to the journal's end, or to the first record that `is_over` says true of; never to the middle of a tick."""
        while (stored := await self.journal.peek()) is not None:
            journalled = parse_journalled(stored)
            if journalled is not None and is_over(journalled) and not self._is_in_tick(journalled):
                self.next_journal = stored.offset
                return
            await self.journal.take()
            if journalled is None or journalled.topic not in self._input_topics:
                yield Paired(stored, journalled, None, "unreadable" if journalled is None else "not_in_topic")
                continue
            topic = await self._input(journalled.topic)
            record, trouble = await topic.fetch(journalled.input_offset)
            yield Paired(stored, journalled, record, trouble)
        self.next_journal = max(self.journal.end, self.start.journal)

    def _is_in_tick(self, journalled: Journalled) -> bool:
        ticks = self._inputs.get(TICKS)
        return journalled.topic == TICKS and ticks is not None and journalled.input_offset < ticks.next_offset

    async def waiting(self) -> int:
        """Inputs (ticks aside) after the last journalled one of their topic: not processed when the reading began."""
        count = 0
        for name in self._input_topics:
            if name != TICKS:
                count += await (await self._input(name)).count_rest()
        return count

    async def latest_tick_us(self, until_us: int) -> int | None:
        """Append time of the newest tick up to `until_us`. Reads the ticks to there."""
        return await (await self._input(TICKS)).latest_us(until_us) if TICKS in self._input_topics else None

    async def _input(self, name: str) -> "InputTopic":
        known = self._inputs.get(name)
        if known is None:
            start = self.start.inputs.get(name, 0)
            reader = await self.open(self.reader(name, start))
            known = self._inputs[name] = InputTopic(name, reader, start, None if name == TICKS else self._on_missing)
        return known


class InputTopic:
    """Forward reading of one input topic by the offsets that the journal names. next_offset: after the last of those."""

    def __init__(
        self, name: str, reader: PartitionReader, start: int, on_missing: Callable[[InputRecord], None] | None
    ) -> None:
        self.next_offset = start
        self._name = name
        self._reader = reader
        self._on_missing = on_missing
        self._last: InputRecord | None = None

    async def fetch(self, offset: int) -> tuple[InputRecord | None, Trouble | None]:
        """The record at `offset`. A tick may be asked for again, by the next timer that it fired."""
        last = self._last
        if offset < self.next_offset:
            same_tick = self._name == TICKS and last is not None and offset == last.offset
            return (last, None) if same_tick else (None, "duplicate")
        if offset < self._reader.begin:
            return None, "retention"
        while (stored := await self._reader.peek()) is not None and stored.offset <= offset:
            await self._reader.take()
            record = self._last = InputRecord(
                self._name, self._reader.partition, stored.offset, stored.timestamp_ms * 1000, stored.key, stored.value
            )
            self.next_offset = record.offset + 1
            if stored.offset == offset:
                return record, None
            if self._on_missing is not None:
                self._on_missing(record)
        return None, "not_in_topic"

    async def latest_us(self, until_us: int) -> int | None:
        """Append time of the newest record up to `until_us`, of those passed and those to come."""
        found = self._last.appended_us if self._last is not None and self._last.appended_us <= until_us else None
        while (stored := await self._reader.peek()) is not None and stored.timestamp_ms * 1000 <= until_us:
            found = stored.timestamp_ms * 1000
            await self._reader.take()
        return found

    async def count_rest(self) -> int:
        count = 0
        while await self._reader.take() is not None:
            count += 1
        return count


def parse_journalled(stored: StoredRecord) -> Journalled | None:
    """None for what is no journal record."""
    try:
        body = orjson.loads(stored.value)
        named = body["input"]
        return Journalled(
            stored.offset,
            stored.key,
            stored.value,
            body,
            named["topic"],
            named["offset"],
            body["unit"],
            body["status"],
            body["governance_offset"],
            body["governance_stale"],
            body["poison"],
            body["engine_semantics"],
            parse_us(body["latency"]["decided_ts"]),
            body.get("partitions", 1),  # only those that address a link by a unit's name say it
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
