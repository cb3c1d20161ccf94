"""What the journal of a partition says about where its owner stopped: the last governance offset, and the next input offsets.

Reads `decisions` read_committed with a consumer of its own. Refuses to guess: offsets come from journal records alone.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.contract.topics import JOURNAL
from app.settings import Settings

# Transaction markers take offsets too: the last record is found by looking back in steps that grow until one has a record.
FIRST_LOOK_BACK = 16
LOOK_BACK_GROWTH = 4
# A fetch that brings nothing but transaction markers wakes nobody: the position is looked at again after this time.
FETCH_MS = 20
# Of one answer, for all partitions together: a tail is short, and a journal that is read whole goes through bit by bit.
FETCH_BYTES = 4 << 20


class JournalTail:
    """One for each worker; a consumer is opened for each question, as they are rare (an assignment)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def last_governance_offset(self, partitions: Collection[int]) -> int:
        """The highest by which the last record of any of them was decided; -1 where all journals are empty."""
        found: dict[TopicPartition, int] = {}
        async with self._consumer() as consumer:
            begins, ends = await self._bounds(consumer, partitions)
            todo = {journal for journal, begin in begins.items() if begin < ends[journal]}
            back = FIRST_LOOK_BACK
            while todo:
                starts = {journal: max(begins[journal], ends[journal] - back) for journal in todo}
                async for journal, record in _records(consumer, starts, ends):
                    found[journal] = int(record["governance_offset"])
                todo = {journal for journal in todo - found.keys() if starts[journal] > begins[journal]}
                back *= LOOK_BACK_GROWTH
        return max(found.values(), default=-1)

    async def next_offsets(self, partition: int) -> dict[str, int]:
        """{input topic, by its name on the cluster: the offset after its last journalled record}. Reads all of the journal."""
        found: dict[str, int] = {}
        async with self._consumer() as consumer:
            begins, ends = await self._bounds(consumer, [partition])
            async for _, record in _records(consumer, begins, ends):
                source = record["input"]
                topic = self._settings.topic(source["topic"])
                found[topic] = max(found.get(topic, 0), source["offset"] + 1)
        return found

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **self._settings.kafka(),
            isolation_level="read_committed",
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_MS,
            fetch_max_bytes=FETCH_BYTES,
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    async def _bounds(
        self, consumer: AIOKafkaConsumer, partitions: Collection[int]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        journals = [TopicPartition(self._settings.topic(JOURNAL), partition) for partition in partitions]
        return await consumer.beginning_offsets(journals), await consumer.end_offsets(journals)


async def _records(
    consumer: AIOKafkaConsumer, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> AsyncIterator[tuple[TopicPartition, dict[str, Any]]]:
    """Journal records with start <= offset < end. Ends by position: the last offsets may be transaction markers."""
    # Nothing is awaited between the two: a partition without a position makes aiokafka look for one, and fetch from there.
    consumer.assign(list(starts))
    for journal, start in starts.items():
        consumer.seek(journal, start)
    todo = set(starts)
    while todo := {journal for journal in todo if await consumer.position(journal) < ends[journal]}:
        for journal, messages in (await consumer.getmany(*todo, timeout_ms=FETCH_MS)).items():
            for message in messages:
                if message.offset < ends[journal]:
                    yield journal, orjson.loads(message.value)
