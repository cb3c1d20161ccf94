"""Taking partitions over from a worker that may still have a transaction open on them.

Owns: committed offsets that no open transaction can change any more, and ending the transaction of a dead or stopped owner.
Refuses: guessing. An owner that drained has nothing open; one that has is dead or a zombie, and InitProducerId on its
transactional id (which every offset commit carries as metadata) aborts what it left and fences it for good.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.structs import OffsetAndMetadata

from app.stream import protocol as wire
from app.stream.producer import TransactionalProducer

log = logging.getLogger(__name__)

POLL_SECONDS = 0.01
POLL_MAX_SECONDS = 0.1
# A live owner's commit ends within milliseconds; after this many unstable answers it is taken for dead.
PATIENCE_POLLS = 8
RETRIABLE = {wire.COORDINATOR_LOADING, wire.COORDINATOR_NOT_AVAILABLE, wire.NOT_COORDINATOR}


class Fencer:
    """One takeover: fences each former owner of `partitions` at most once."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        partitions: Collection[TopicPartition],
        own_id: str,
        kafka: Mapping[str, Any],
        transaction_timeout_ms: int,
    ) -> None:
        self._consumer = consumer
        self._partitions = list(partitions)
        self._fenced = {own_id}
        self._kafka = kafka
        self._transaction_timeout_ms = transaction_timeout_ms

    async def committed(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """Committed offsets once no transaction has one pending; partitions without one are left out."""
        polls = 0
        while True:
            rows, codes = await self._fetch(require_stable=True)
            if not codes:
                return rows
            polls += 1
            if wire.UNSTABLE_OFFSET_COMMIT in codes and polls >= PATIENCE_POLLS:
                await self.fence_owners()
            await asyncio.sleep(min(POLL_SECONDS * polls, POLL_MAX_SECONDS))

    async def fence_owners(self) -> None:
        """InitProducerId on every transactional id that committed these partitions last."""
        rows, _ = await self._fetch(require_stable=False)
        for transactional_id in {row.metadata for row in rows.values() if row.metadata} - self._fenced:
            self._fenced.add(transactional_id)
            log.warning("fencing %s: it left a transaction open on partitions that are ours now", transactional_id)
            producer = TransactionalProducer(
                transactional_id=transactional_id,
                transaction_timeout_ms=self._transaction_timeout_ms,
                **self._kafka,
            )
            try:
                await producer.start()
            finally:
                await producer.stop()

    async def _fetch(self, require_stable: bool) -> tuple[dict[TopicPartition, OffsetAndMetadata], set[int]]:
        """(committed offsets, retriable error codes)."""
        coordinator = self._consumer._coordinator
        topics: defaultdict[str, list[int]] = defaultdict(list)
        for tp in self._partitions:
            topics[tp.topic].append(tp.partition)
        request = wire.ExactRequest(
            wire.OffsetFetchRequestV7,
            group_id=coordinator.group_id,
            topics=list(topics.items()),
            require_stable=require_stable,
        )
        await coordinator.ensure_coordinator_known()
        answer = await coordinator._send_req(request)
        codes = {answer.error_code} | {row[4] for _, rows in answer.topics for row in rows}
        codes.discard(0)
        if codes & {wire.COORDINATOR_NOT_AVAILABLE, wire.NOT_COORDINATOR}:
            coordinator.coordinator_dead()
        if fatal := codes - RETRIABLE - {wire.UNSTABLE_OFFSET_COMMIT}:
            raise kafka_errors.for_code(max(fatal))(f"OffsetFetch answered {sorted(fatal)}")
        return {
            TopicPartition(topic, partition): OffsetAndMetadata(offset, metadata or "")
            for topic, rows in answer.topics
            for partition, offset, _, metadata, code in rows
            if code == 0 and offset >= 0
        }, codes
