"""Bringing the stores of newly assigned partition groups up to the end of their changelogs.

Owns: one consumer for all changelogs, from the offset each store holds to the end. Refuses: a store that is ahead of its log
(rebuilt: the log is the truth).

The end is the *uncommitted* one. A dead owner's transaction may still be open; read_committed stops before it, so reading up to
the uncommitted end waits until it is committed or aborted, and what it wrote is never missed.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED

from app.stream.config import TOMBSTONE_DAYS
from app.stream.metrics import Metrics
from tables.store import NO_OFFSET, Store

log = logging.getLogger(__name__)

POLL_MS = 50
FETCH_WAIT_MS = 20
FETCH_RECORDS = 10_000
# Deletions of a longer time ago may have been compacted away, so that a store which missed one would keep its row for ever.
TOMBSTONE_SECONDS = TOMBSTONE_DAYS * 86_400
# No record for this long with the end not reached: somebody's transaction is in the way.
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

    async def run(self) -> int:
        """The number of records restored."""
        if not self._stores:
            return 0
        began = time.monotonic()
        consumer = AIOKafkaConsumer(
            **self._kafka,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        await consumer.start()
        try:
            restored = await self._read(consumer)
        finally:
            await consumer.stop()
        self._metrics.restored_records += restored
        self._metrics.restore_seconds = time.monotonic() - began
        return restored

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
        restored, moved_at = 0, time.monotonic()
        while todo:
            self._metrics.restoring = len(todo)
            for tp, records in (await consumer.getmany(*todo, timeout_ms=POLL_MS, max_records=FETCH_RECORDS)).items():
                self._stores[tp].apply({record.key: record.value for record in records}, records[-1].offset)
                restored += len(records)
                moved_at = time.monotonic()
            todo = [tp for tp in todo if await consumer.position(tp) < ends[tp]]
            if todo and time.monotonic() - moved_at > STUCK_SECONDS:
                log.warning(
                    "restore waits for an open transaction on %s", ", ".join(f"{tp.topic}-{tp.partition}" for tp in todo)
                )
                await self._when_stuck()
                moved_at = time.monotonic()
        self._metrics.restoring = 0
        return restored

    def _seek(
        self,
        consumer: AIOKafkaConsumer,
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> list[TopicPartition]:
        """Set every position; the partitions that have something to read."""
        todo = []
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
                log.warning("a store was set aside as %s; rebuilding from the changelog", store.damaged_aside)
            position = begins[tp] if store.changelog_offset == NO_OFFSET else max(begins[tp], store.changelog_offset + 1)
            consumer.seek(tp, position)
            if position < ends[tp]:
                consumer.resume(tp)
                todo.append(tp)
        return todo


async def _uncommitted_ends(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """High watermarks. aiokafka asks with the consumer's isolation level and has no argument for another one."""
    fetcher = consumer._fetcher
    fetcher._isolation_level = READ_UNCOMMITTED
    try:
        return await consumer.end_offsets(list(partitions))  # type: ignore[no-any-return]
    finally:
        fetcher._isolation_level = READ_COMMITTED
