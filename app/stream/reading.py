"""Reading topics from a start to the end that they had, committed records only. It joins no group."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from app.errors import OperatorError
from app.reach import missing_right
from app.settings import Settings
from app.stream.admin import admin_client, partition_counts

# Nothing for so long, although there is something to read: the broker is gone.
SILENCE_SECONDS = 30
FETCH_MS = 500
RECORDS_AT_ONCE = 2_000


async def partitions_of(settings: Settings, topics: Iterable[str]) -> list[TopicPartition]:
    """Of the cluster's topics of those names; OperatorError that names those that are not there."""
    names = list(topics)
    async with admin_client(settings) as admin:
        counts = await partition_counts(admin, names)
    if missing := [name for name in names if name not in counts]:
        raise OperatorError(
            f"missing topic {', '.join(missing)} at {settings.bootstrap()}", "Create with `truelift topics init`"
        )
    return [TopicPartition(name, partition) for name in names for partition in range(counts[name])]


async def read_to_end(settings: Settings, starts: Mapping[TopicPartition, int | None]) -> AsyncGenerator[ConsumerRecord, None]:
    """Every committed record from each start (None: the earliest kept) up to the end of now, in order within a partition.

    The end is read_committed's: an open transaction's records are not there yet. Ends by position, not by the last
    record's offset: transaction markers take offsets too. Who stops early wraps it in contextlib.aclosing: it holds a consumer.
    """
    if not starts:
        return
    async with AIOKafkaConsumer(**settings.kafka(), isolation_level="read_committed", enable_auto_commit=False) as consumer:
        consumer.assign(list(starts))
        # Before anything else is awaited: a partition without a position makes aiokafka look for one of its own.
        for partition, offset in starts.items():
            consumer.seek(partition, offset or 0)
        begins = await consumer.beginning_offsets(list(starts))
        ends = await consumer.end_offsets(list(starts))
        for partition, offset in starts.items():
            consumer.seek(partition, max(offset or 0, begins[partition]))
        async for record in _until(consumer, ends):
            yield record


async def _until(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> AsyncGenerator[ConsumerRecord, None]:
    remaining = set(ends)
    last_heard = asyncio.get_running_loop().time()
    while remaining := {tp for tp in remaining if await consumer.position(tp) < ends[tp]}:
        try:
            batches = await consumer.getmany(*remaining, timeout_ms=FETCH_MS, max_records=RECORDS_AT_ONCE)
        except KafkaError as error:
            names = ", ".join(sorted({tp.topic for tp in remaining}))
            refusal = missing_right(error) or OperatorError(f"{names} cannot be read: {error}", "Check the broker and its log")
            raise refusal from error
        now = asyncio.get_running_loop().time()
        if batches:
            last_heard = now
        elif now - last_heard > SILENCE_SECONDS:
            raise OperatorError(f"no answer from the broker for {SILENCE_SECONDS} s", "Check the broker and its log")
        for partition, records in batches.items():
            for record in records:
                if record.offset < ends[partition]:
                    yield record
