"""The events of a column, written to both topics: all at once, or paced.

Owns: batches, timestamps and pace. Refuses: checking what came of them (judge.py).
"""

import asyncio
import time
from collections import defaultdict

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.bench.peers.job import event, partitions_of, topic_of, user_of

BATCH_BYTES = 500_000
# How much of a backlog's time passes with one record: it was written at 100,000 events a second.
EVENTS_PER_MS = 100
# The waits of a paced load: at 2,000/s an event is due each half millisecond.
TICK_SECONDS = 0.001


class Inputs:
    """Both input topics of a column, with how many events are in them."""

    def __init__(self, broker: str, name: str, keys: int, partitions: int) -> None:
        self.broker = broker
        self.keys = keys
        self.partitions = partitions
        self.topics = (f"{name}.first", f"{name}.second")
        self.count = 0
        self._partition_of = partitions_of(keys, partitions)

    async def create(self) -> None:
        await create_topics(self.broker, self.topics, self.partitions)

    async def preload(self, count: int) -> None:
        """`count` events as a backlog whose two topics are interleaved in time."""
        began_ms = int(time.time() * 1000) - count // EVENTS_PER_MS
        producer = AIOKafkaProducer(bootstrap_servers=self.broker, linger_ms=0, max_batch_size=BATCH_BYTES)
        await producer.start()
        try:
            batches = defaultdict(producer.create_batch)
            for number in range(self.count, self.count + count):
                user = user_of(number, self.keys)
                target = (topic_of(number), self._partition_of[user])
                at_ms = began_ms + number // EVENTS_PER_MS
                record = {"key": b"u%d" % user, "value": event(number, user, at_ms * 1000), "timestamp": at_ms}
                if batches[target].append(**record) is None:
                    await self._send(producer, *target, batches.pop(target))
                    batches[target].append(**record)
            for target, batch in batches.items():
                await self._send(producer, *target, batch)
            await producer.flush()
        finally:
            await producer.stop()
        self.count += count

    async def _send(self, producer: AIOKafkaProducer, topic: int, partition: int, batch: object) -> None:
        await producer.send_batch(batch, self.topics[topic], partition=partition)

    async def pace(self, rate: int, seconds: float) -> int:
        """`rate` events a second, each at its own time; how many. `ts` is when an event was due, so that a late load shows."""
        producer = AIOKafkaProducer(bootstrap_servers=self.broker, linger_ms=0)
        await producer.start()
        sent, total, began = 0, int(rate * seconds), time.time()
        try:
            while sent < total:
                due = min(total, int((time.time() - began) * rate))
                while sent < due:
                    number, user = self.count, user_of(self.count, self.keys)
                    value = event(number, user, int((began + sent / rate) * 1e6))
                    await producer.send(
                        self.topics[topic_of(number)], value, key=b"u%d" % user, partition=self._partition_of[user]
                    )
                    sent += 1
                    self.count += 1
                await asyncio.sleep(TICK_SECONDS)
            await producer.flush()
        finally:
            await producer.stop()
        return sent


async def create_topics(broker: str, topics: tuple[str, ...], partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1) for topic in topics])
    finally:
        await admin.close()


async def topics(broker: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        return list(await admin.list_topics())
    finally:
        await admin.close()


async def delete_topics(broker: str, prefix: str) -> None:
    """Frees the disk: a column's topics are not needed after its verdict."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        found = [topic for topic in await admin.list_topics() if prefix in topic]
        if found:
            await admin.delete_topics(found)
    finally:
        await admin.close()
