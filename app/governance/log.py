"""The topic `governance`: reading it to its end, and folding what was read. One partition, read as it stands.

Refuses to guess: a missing topic or a broker that does not answer is an OperatorError that names it.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from app.contract.topics import GOVERNANCE
from app.errors import OperatorError
from app.governance.fold import Fold
from app.governance.judge import NO_BROKER_TIME
from app.governance.keys import root_public_key
from app.governance.records import Record, RefusedError, parse
from app.reach import explained
from app.settings import Settings

# Records are taken as they lie. With read_committed a transaction left open on this topic would hide every later record
# from all readers, a kill among them; nobody of ours writes here in a transaction, and what counts is the signature.
ISOLATION = "read_uncommitted"
POLL_MS = 500
# A connection answers in order: the question where the log ends waits behind a fetch that waits for records. A kill must not.
FETCH_WAIT_MS = 20
LOG_APPEND_TIME = 1  # a record's timestamp_type


class Entry(NamedTuple):
    """append_us: the broker's append time, or NO_BROKER_TIME. raw None: a record without a value, which every fold refuses."""

    offset: int
    append_us: int
    raw: bytes | None


def append_us_of(message: ConsumerRecord) -> int:
    """When the broker appended it; NO_BROKER_TIME where the topic leaves the time to the writer."""
    return message.timestamp * 1_000 if message.timestamp_type == LOG_APPEND_TIME else NO_BROKER_TIME


class GovernanceLog:
    """A reader at a position of the log. Use as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._partition = TopicPartition(settings.topic(GOVERNANCE), 0)
        self._consumer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        # Not in a transaction and not in a group: the log is small and every reader reads all of it.
        self._consumer = AIOKafkaConsumer(
            **self._settings.governance_kafka(),
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level=ISOLATION,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        try:
            async with asyncio.timeout(self._settings.broker_wait_seconds):
                await self._consumer.start()
                await self._check_topic(self._consumer)
        except (KafkaError, TimeoutError) as error:
            await self._consumer.stop()
            raise await self._no_answer(error) from error
        except BaseException:
            await self._consumer.stop()
            raise
        self._consumer.assign([self._partition])
        self._consumer.seek(self._partition, 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    async def _check_topic(self, consumer: AIOKafkaConsumer) -> None:
        name = self._partition.topic
        if name not in await consumer.topics():
            raise missing_topic(name, self._address())

    async def end(self) -> int:
        """The offset after the last record, asked from the partition's leader now."""
        try:
            async with asyncio.timeout(self._settings.broker_wait_seconds):
                ends: dict[TopicPartition, int] = await self._live().end_offsets([self._partition])
        except (KafkaError, TimeoutError) as error:
            raise await self._no_answer(error) from error
        return ends[self._partition]

    async def read(self, until: int, take: Callable[[Entry], object]) -> None:
        """Gives `take` every record from the position up to offset `until`, and those that came along behind it.

        A callback and no iterator: a reader that stopped in the middle of a batch would silently miss the rest of it.
        OperatorError when nothing comes for `broker_wait_seconds`.
        """
        while await self._live().position(self._partition) < until:
            try:
                async with asyncio.timeout(self._settings.broker_wait_seconds):
                    entries = await self._next()
            except TimeoutError as error:
                raise await self._no_answer(error) from error
            for entry in entries:
                take(entry)

    async def follow(self, take: Callable[[Entry], object]) -> None:
        """Gives `take` every record from the position on, without end."""
        while True:
            for entry in await self._next():
                take(entry)

    async def _next(self) -> list[Entry]:
        """Waits for records as long as it takes."""
        consumer = self._live()
        while True:
            try:
                batches = await consumer.getmany(self._partition, timeout_ms=POLL_MS)
            except KafkaError as error:
                raise await self._no_answer(error) from error
            if batches:
                return [Entry(m.offset, append_us_of(m), m.value) for m in batches[self._partition]]

    def _live(self) -> AIOKafkaConsumer:
        assert self._consumer is not None, "use `async with`"
        return self._consumer

    def _address(self) -> str:
        return str(self._settings.governance_kafka()["bootstrap_servers"])

    async def _no_answer(self, error: BaseException) -> OperatorError:
        return await explained(error, self._settings.governance_kafka(), self._partition.topic)


def missing_topic(name: str, address: str) -> OperatorError:
    # Kafka shows a topic only to those who may do something with it.
    return OperatorError(
        f"missing topic {name} at {address}, or no right to see it",
        "Create with `truelift topics init`, or grant what `truelift acl ROLE` lists",
    )


async def read_all(settings: Settings, take: Callable[[Entry], object]) -> None:
    """Gives `take` the log from its first record to the end that it has now."""
    async with GovernanceLog(settings) as log:
        await log.read(await log.end(), take)


async def fold_all(settings: Settings) -> Fold:
    """The log as it stands, folded under the installation's root key."""
    fold = Fold(root_public_key(settings))
    await read_all(settings, lambda entry: fold.apply(*entry))
    return fold


class Judged(NamedTuple):
    """A record of the log and what the fold made of it. refusal None: applied. record None: not even a record."""

    offset: int
    append_us: int
    record: Record | None
    refusal: str | None


async def history(settings: Settings, keep: Callable[[Judged], bool] = lambda _: True) -> tuple[Fold, list[Judged]]:
    """The log as it stands, and the records that `keep` chooses, each with its verdict."""
    fold = Fold(root_public_key(settings))
    kept: list[Judged] = []

    def take(entry: Entry) -> None:
        refusal = fold.apply(*entry)
        try:
            record = parse(entry.raw)
        except RefusedError:
            record = None
        judged = Judged(entry.offset, entry.append_us, record, refusal)
        if keep(judged):
            kept.append(judged)

    await read_all(settings, take)
    return fold, kept
