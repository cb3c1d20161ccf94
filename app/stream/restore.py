"""Bringing the stores of newly assigned partition groups up to the end of their changelogs.

Owns: one consumer for the changelogs of all groups, from the offset each store holds to the end: they come in side by side, as
fast as the brokers send them. Refuses: a store that is ahead of its log (rebuilt: the log is the truth).

The end is the *uncommitted* one. A dead owner's transaction may still be open; read_committed stops before it, so reading up to
the uncommitted end waits until it is committed or aborted, and what it wrote is never missed.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED

from app.stream.config import FETCH_BYTES, PARTITION_FETCH_BYTES, TOMBSTONE_DAYS
from app.stream.consumer import use_raw_records
from app.stream.metrics import Metrics
from app.stream.progress import RestoreProgress
from tables.store import NO_OFFSET, Store

log = logging.getLogger(__name__)

# A fetch of transaction markers alone tells nobody: positions are looked at again after this time.
LOOK_AGAIN_SECONDS = 0.05
FETCH_WAIT_MS = 20
# Into the stores at once: what holds the event loop (some 5 microseconds a row), and the size of a write batch.
APPLY_RECORDS = 4_000
# Deletions of a longer time ago may have been compacted away, so that a store which missed one would keep its row for ever.
TOMBSTONE_SECONDS = TOMBSTONE_DAYS * 86_400
# No record for this long, and none that could be read: somebody's transaction is in the way.
STUCK_SECONDS = 0.5


class Restore:
    """stores: {changelog partition: its store}."""

    def __init__(
        self,
        kafka: Mapping[str, Any],
        stores: Mapping[TopicPartition, Store],
        metrics: Metrics,
        when_stuck: Callable[[], Awaitable[None]],
    ) -> None:
        self._kafka = kafka
        self._stores = stores
        self._metrics = metrics
        self._when_stuck = when_stuck
        self._arrived = asyncio.Event()

    async def run(self) -> int:
        """The number of records restored."""
        if not self._stores:
            return 0
        consumer = AIOKafkaConsumer(
            **self._kafka,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        )
        await consumer.start()
        use_raw_records(consumer, self._arrived.set)
        try:
            return await self._read(consumer)
        finally:
            await consumer.stop()

    def has_state(self, partition: int) -> bool:
        """Whether a committed row ever came to this partition. (A changelog that is not empty may hold aborted ones alone.)"""
        return any(store.changelog_offset != NO_OFFSET for tp, store in self._stores.items() if tp.partition == partition)

    async def _read(self, consumer: AIOKafkaConsumer) -> int:
        partitions = list(self._stores)
        consumer.assign(partitions)
        consumer.pause(*partitions)
        for tp in partitions:
            # Before anything is awaited: a partition without a position makes aiokafka look for a committed one and fail.
            consumer.seek(tp, 0)
        ends = await _uncommitted_ends(consumer, partitions)
        begins = await consumer.beginning_offsets(partitions)
        todo = self._seek(consumer, begins, ends)
        progress = RestoreProgress(self._metrics, len(todo), sum(ends[tp] - start for tp, start in todo.items()))
        moved_at = time.monotonic()
        while todo:
            progress.left(len(todo), sum(ends[tp] - position for tp, position in todo.items()))
            if await self._take(consumer, list(todo), progress):
                moved_at = time.monotonic()
            todo = {tp: position for tp in todo if (position := await consumer.position(tp)) < ends[tp]}
            if time.monotonic() - moved_at > STUCK_SECONDS and (stuck := _behind_transaction(consumer, todo)):
                log.warning("restore waits for an open transaction on %s", ", ".join(stuck))
                await self._when_stuck()
                moved_at = time.monotonic()
        progress.left(0, 0)
        return progress.rows

    async def _take(self, consumer: AIOKafkaConsumer, todo: list[TopicPartition], progress: RestoreProgress) -> bool:
        """What has been fetched of `todo` goes into its stores; whether there was anything. Else it is waited for."""
        self._arrived.clear()
        fetched = await consumer.getmany(*todo, timeout_ms=0, max_records=APPLY_RECORDS)
        for tp, records in fetched.items():
            rows = {record.key: record.value for record in records}
            began = time.perf_counter()
            self._stores[tp].apply(rows, records[-1].offset)
            progress.took(len(records), sum(map(len, rows)) + sum(map(_length, rows.values())), time.perf_counter() - began)
        if not fetched:
            began = time.perf_counter()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                    await self._arrived.wait()
            progress.waited(time.perf_counter() - began)
        else:
            await asyncio.sleep(0)  # heartbeats, and the sockets that the next rows come from
        return bool(fetched)

    def _seek(
        self,
        consumer: AIOKafkaConsumer,
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> dict[TopicPartition, int]:
        """Set every position; {a partition that has something to read: from where}."""
        todo = {}
        for tp, store in self._stores.items():
            if store.written_at is not None and time.time() - store.written_at > TOMBSTONE_SECONDS:
                log.warning("the store %s slept for more than %d days: rebuilding", store.path, TOMBSTONE_DAYS)
                store.reset()
            store.written_at = None  # it does not sleep any more
            if store.changelog_offset >= ends[tp]:
                log.warning(
                    "the store %s is ahead of its changelog (%d, end %d): rebuilding",
                    store.path,
                    store.changelog_offset,
                    ends[tp],
                )
                store.reset()
            if store.damaged_aside is not None:
                log.warning("a store was set aside as %s (%s); rebuilding", store.damaged_aside, store.damage)
            position = begins[tp] if store.changelog_offset == NO_OFFSET else max(begins[tp], store.changelog_offset + 1)
            consumer.seek(tp, position)
            if position < ends[tp]:
                consumer.resume(tp)
                todo[tp] = position
        return todo


def _behind_transaction(consumer: AIOKafkaConsumer, positions: Mapping[TopicPartition, int]) -> list[str]:
    """Changelog partitions whose leader said that nothing committed is left, and yet the end is further on.

    Silence alone proves nothing: a broker that is merely slow must not get a live owner fenced.
    """
    return [
        f"{tp.topic}-{tp.partition}"
        for tp, position in positions.items()
        if (stable := consumer.last_stable_offset(tp)) is not None and stable <= position
    ]


async def _uncommitted_ends(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """High watermarks. aiokafka asks with the consumer's isolation level and has no argument for another one."""
    fetcher = consumer._fetcher
    fetcher._isolation_level = READ_UNCOMMITTED
    try:
        return await consumer.end_offsets(list(partitions))  # type: ignore[no-any-return]
    finally:
        fetcher._isolation_level = READ_COMMITTED


def _length(value: bytes | None) -> int:
    return 0 if value is None else len(value)
