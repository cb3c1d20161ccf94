"""What the journal of a partition says about where its owner stopped: the last governance offset, and the next input offsets.

Reads `decisions` read_committed with a consumer of its own. Refuses to guess: offsets come from journal records alone.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.contract.topics import JOURNAL
from app.settings import Settings

# Transaction markers take offsets too: the last record is found by looking back in steps that grow until one has a record.
FIRST_LOOK_BACK = 16
# A fetch that brings nothing but transaction markers wakes nobody: the position is looked at again after this time.
FETCH_MS = 20


class JournalTail:
    """One for each worker; a consumer is opened for each question, as they are rare (an assignment)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def last_governance_offset(self, partition: int) -> int:
        """By which the last record was decided; -1 for an empty journal."""
        async with self._consumer(partition) as (consumer, journal):
            begin, end = await _bounds(consumer, journal)
            back = FIRST_LOOK_BACK
            while begin < end:
                start = max(begin, end - back)
                last = None
                async for record in _records(consumer, journal, start, end):
                    last = record
                if last is not None:
                    return int(last["governance_offset"])
                if start == begin:
                    return -1
                back *= 4
            return -1

    async def next_offsets(self, partition: int) -> dict[str, int]:
        """{input topic, by its name on the cluster: the offset after its last journalled record}. Reads all of the journal."""
        found: dict[str, int] = {}
        async with self._consumer(partition) as (consumer, journal):
            begin, end = await _bounds(consumer, journal)
            async for record in _records(consumer, journal, begin, end):
                source = record["input"]
                topic = self._settings.topic(source["topic"])
                found[topic] = max(found.get(topic, 0), source["offset"] + 1)
        return found

    @asynccontextmanager
    async def _consumer(self, partition: int) -> AsyncIterator[tuple[AIOKafkaConsumer, TopicPartition]]:
        journal = TopicPartition(self._settings.topic(JOURNAL), partition)
        consumer = AIOKafkaConsumer(
            **self._settings.kafka(),
            isolation_level="read_committed",
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_MS,
        )
        await consumer.start()
        try:
            yield consumer, journal
        finally:
            await consumer.stop()


async def _bounds(consumer: AIOKafkaConsumer, journal: TopicPartition) -> tuple[int, int]:
    begin = await consumer.beginning_offsets([journal])
    end = await consumer.end_offsets([journal])
    return begin[journal], end[journal]


async def _records(consumer: AIOKafkaConsumer, journal: TopicPartition, start: int, end: int) -> AsyncIterator[dict[str, Any]]:
    """Journal records with start <= offset < end. Ends by position: the last offsets may be transaction markers."""
    # Nothing is awaited between the two: a partition without a position makes aiokafka look for one, and fetch from there.
    consumer.assign([journal])
    consumer.seek(journal, start)
    while await consumer.position(journal) < end:
        for message in (await consumer.getmany(journal, timeout_ms=FETCH_MS)).get(journal, ()):
            if message.offset < end:
                yield orjson.loads(message.value)
