"""Records to Kafka: one idempotent producer, acks=all, one future a batch instead of one an event.

Owns: batching by partition, the producer's life. Refuses: repairing it. A producer that did not answer in time is put aside
with its doubts and a new one is made: what may be in the log twice then has one event id, and the worker counts it once.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.contract.partitions import partition_of
from app.contract.topics import DEADLETTER
from app.edge.letters import unserved
from app.edge.record import Record
from app.settings import Settings
from app.stream.clients import wait_for_broker

log = logging.getLogger(__name__)

BATCH_BYTES = 256 * 1024
CONNECT_SECONDS = 10.0
# A put-aside producer gives up what it still holds after this time.
REQUEST_TIMEOUT_MS = 10_000
# The broker answers a produce at once or after a leader election; the default of 100 ms would be most of an acknowledgement.
RETRY_BACKOFF_MS = 20


class MissingTopicError(KafkaError):  # type: ignore[misc]
    """Not even dead letters have one: an operator's to create."""


class Appender:
    """`connect` before `append`; both raise one of keeper.UNREACHABLE when Kafka does not do its part."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def connect(self, topics: Iterable[str], record_bytes: int) -> None:
        """A new producer that knows `topics` (contract's names). record_bytes: the catalogue's bound, half of a topic's."""
        await wait_for_broker(self._settings)
        producer = AIOKafkaProducer(
            **self._settings.kafka(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=min(BATCH_BYTES, 2 * record_bytes),
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=RETRY_BACKOFF_MS,
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await producer.start()
                await producer.client.set_topics([self._settings.topic(topic) for topic in topics])
        except BaseException:
            self._put_aside(producer)
            raise
        self._producer = producer

    async def append(self, records: Sequence[Record]) -> None:
        """Returns when Kafka has all of them."""
        if self._producer is None:
            raise KafkaError("not connected")
        missing = await self._missing({record.topic for record in records})
        if missing:
            records = [unserved(record) if record.topic in missing else record for record in records]
        waiting: list[asyncio.Future[object]] = []
        for (topic, partition), batch in self._by_partition(records).items():
            await self._send(topic, partition, batch, waiting)
        found = await asyncio.gather(*waiting, return_exceptions=True)
        for outcome in found:
            if isinstance(outcome, BaseException):
                raise outcome

    def disconnect(self) -> None:
        """The next thing is `connect`."""
        if self._producer is not None:
            self._put_aside(self._producer)
            self._producer = None

    async def close(self) -> None:
        self.disconnect()
        if self._closing:
            await asyncio.wait(self._closing, timeout=REQUEST_TIMEOUT_MS / 1000)

    async def _missing(self, topics: Iterable[str]) -> set[str]:
        """Those that the cluster says it has not, asked once more: one may have been made since it connected.

        Their events become dead letters. One type without a topic must not keep every other event out of Kafka.
        """
        assert self._producer is not None
        unknown = {topic for topic in topics if not self._partitions(topic)}
        for topic in unknown:
            await self._producer.client.add_topic(self._settings.topic(topic))
        if unknown:
            await self._producer.client.force_metadata_update()
        missing = {topic for topic in unknown if not self._partitions(topic)}
        if DEADLETTER in missing:
            raise MissingTopicError(f"no topic {self._settings.topic(DEADLETTER)}; create it with `truelift topics init`")
        return missing

    async def _send(
        self, topic: str, partition: int, records: Sequence[Record], waiting: "list[asyncio.Future[object]]"
    ) -> None:
        assert self._producer is not None
        name = self._settings.topic(topic)
        batch = self._producer.create_batch()
        for record in records:
            headers = [*record.headers]
            if batch.append(timestamp=None, key=record.key, value=record.value, headers=headers) is None:
                waiting.append(await self._producer.send_batch(batch, name, partition=partition))
                batch = self._producer.create_batch()
                batch.append(timestamp=None, key=record.key, value=record.value, headers=headers)
        waiting.append(await self._producer.send_batch(batch, name, partition=partition))

    def _by_partition(self, records: Iterable[Record]) -> dict[tuple[str, int], list[Record]]:
        counts: dict[str, int] = {}
        batches: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            topic = record.topic
            count = counts.get(topic)
            if count is None:
                count = counts[topic] = self._partitions(topic)
            # A record without a key has no unit, so any partition will do.
            number = record.received_us % count if record.key is None else partition_of(record.key.decode(), count)
            batches[topic, number].append(record)
        return batches

    def _partitions(self, topic: str) -> int:
        assert self._producer is not None
        return len(self._producer.client.cluster.partitions_for_topic(self._settings.topic(topic)) or ())

    def _put_aside(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.create_task(_stopped(producer))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _stopped(producer: AIOKafkaProducer) -> None:
    try:
        await producer.stop()
    except KafkaError as error:
        log.warning("a producer that was put aside ended with %r", error)
