"""A read_committed reader of the journal: counts records as they become visible, with the time each was seen."""

import time
from collections.abc import Callable

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.contract.times import parse_us
from app.settings import Settings

JOURNAL = "decisions"


class Throughput:
    """Records a second between the first and the last sight of `expected` journal records."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.seen = 0
        self.first = self.last = 0.0
        self.first_count = 0

    def take(self, count: int) -> bool:
        now = time.perf_counter()
        if self.seen == 0:
            self.first, self.first_count = now, count
        self.seen += count
        self.last = now
        return self.seen >= self.expected

    @property
    def rate(self) -> float:
        return (self.seen - self.first_count) / (self.last - self.first)


async def read_journal(settings: Settings, on_batch: Callable[[list[bytes], float], bool], *, from_end: bool = False) -> None:
    """Calls on_batch(values, wall-clock seconds of their arrival) until it returns True."""
    consumer = AIOKafkaConsumer(
        **settings.kafka(), isolation_level="read_committed", enable_auto_commit=False, fetch_max_wait_ms=100,
        max_partition_fetch_bytes=4 << 20,
    )  # fmt: skip
    await consumer.start()
    try:
        partitions = [TopicPartition(settings.topic(JOURNAL), number) for number in range(settings.partitions)]
        consumer.assign(partitions)
        await (consumer.seek_to_end if from_end else consumer.seek_to_beginning)(*partitions)
        while True:
            batches = await consumer.getmany(timeout_ms=100)
            arrived = time.time()
            values = [message.value for messages in batches.values() for message in messages]
            if values and on_batch(values, arrived):
                return
    finally:
        await consumer.stop()


def append_to_visible_ms(value: bytes, arrived: float) -> float:
    """From the broker's append of the input to this reader's sight of its journal record."""
    appended_us = parse_us(orjson.loads(value)["latency"]["appended_ts"])
    return arrived * 1000 - appended_us / 1000
