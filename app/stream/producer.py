"""The transactional producer of a worker: aiokafka's, with KIP-447 and, where the cluster has it, KIP-890.

Owns: which group metadata fences an offset commit; transaction.version 2 (no AddPartitionsToTxn, no AddOffsetsToTxn, a new
epoch after every EndTxn, a new producer id after 32,766 of them); the retry pause between transactions.
Refuses: retrying what is in doubt. Every error but "not yet" reaches the committer, and that ends the process.
Nothing of aiokafka is patched: this producer swaps its own sender and transaction manager for subclasses.
"""

# aiokafka has no types: its classes are Any here.
# mypy: allow-subclassing-any, no-warn-return-any

import io
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import ProducerFenced
from aiokafka.producer import sender as base
from aiokafka.producer.transaction_manager import PidAndEpoch, TransactionManager, TransactionState
from aiokafka.structs import OffsetAndMetadata

from app.errors import InternalError, OperatorError
from app.stream import protocol as wire

# How soon to ask again while the last transaction's markers are being written (aiokafka: 20 ms, 100 ms for a produce).
CONCURRENT_BACKOFF_SECONDS = 0.002
RETRY_BACKOFF_MS = 5
# The least versions that fence by generation: TxnOffsetCommit v3, OffsetFetch v7 (Kafka 2.5).
NEEDED_VERSIONS = {28: 3, 9: 7}


class GroupMetadata(NamedTuple):
    """consumer.groupMetadata() of KIP-447: who may commit offsets."""

    group_id: str
    generation: int
    member_id: str
    instance_id: str | None

    @classmethod
    def capture(cls, consumer: AIOKafkaConsumer) -> "GroupMetadata":
        """Take it when partitions are assigned and keep it. Read at commit time it would, after aiokafka's
        reset_generation(), be (-1, ""), which the broker accepts without any fencing."""
        coordinator = consumer._coordinator
        if coordinator.generation < 0 or not coordinator.member_id:
            raise InternalError(
                f"group metadata without a generation ({coordinator.generation}, {coordinator.member_id!r})",
                "Restart the worker; report this with its log",
            )
        return cls(coordinator.group_id, coordinator.generation, coordinator.member_id, coordinator._group_instance_id)


class TransactionalProducer(AIOKafkaProducer):
    """One transaction at a time. `start` finds out what the cluster can do, unless `version_2` says which way to go."""

    def __init__(
        self, *, transactional_id: str, transaction_timeout_ms: int, version_2: bool | None = None, **kafka: Any
    ) -> None:
        self._wanted_version_2 = version_2
        kafka.setdefault("retry_backoff_ms", RETRY_BACKOFF_MS)
        super().__init__(transactional_id=transactional_id, transaction_timeout_ms=transaction_timeout_ms, linger_ms=0, **kafka)
        self._txn_manager = _Manager(transactional_id, transaction_timeout_ms)
        self._message_accumulator._txn_manager = self._txn_manager
        self._sender = _Sender(
            self.client,
            acks=-1,
            txn_manager=self._txn_manager,
            retry_backoff_ms=kafka["retry_backoff_ms"],
            message_accumulator=self._message_accumulator,
            request_timeout_ms=self._request_timeout_ms,
        )

    async def start(self) -> None:
        await self.client.bootstrap()
        finalized = await transaction_version(self.client) >= 2
        self._txn_manager.version_2 = finalized if self._wanted_version_2 is None else self._wanted_version_2
        await super().start()

    @property
    def version_2(self) -> bool:
        """Whether transactions run by KIP-890 (transaction.version 2)."""
        return bool(self._txn_manager.version_2)

    async def commit_offsets(self, offsets: Mapping[TopicPartition, OffsetAndMetadata], group: GroupMetadata) -> None:
        """Add `offsets` to the running transaction, fenced by `group`; CommitFenced when `group` owns nothing any more."""
        self._sender.group = group
        await self.send_offsets_to_transaction(dict(offsets), group.group_id)


async def transaction_version(client: AIOKafkaClient) -> int:
    """The finalized transaction.version. The highest API version does not tell: an upgraded cluster may still run 0 or 1."""
    request = wire.ExactRequest(wire.ApiVersionsRequestV3, client_software_name="truelift", client_software_version="1")
    answer: Any = await client.send(client.get_random_node(), request)
    highest = {key: version for key, _, version in answer.api_keys}
    for api, needed in NEEDED_VERSIONS.items():
        if highest.get(api, -1) < needed:
            raise OperatorError(
                f"the Kafka cluster has API {api} only up to version {highest.get(api)}, {needed} is needed",
                "Use Kafka 2.5 or newer: older brokers cannot fence a worker that lost its partitions (KIP-447)",
            )
    raw = answer.tags.get(wire.FINALIZED_FEATURES_TAG)
    features = wire.FINALIZED_FEATURES.decode(io.BytesIO(raw)) if raw else []
    return int({name: level for name, level, _ in features or []}.get("transaction.version", 0))


class _Manager(TransactionManager):
    version_2 = False

    def error_transaction(self, exc: BaseException) -> None:
        # aiokafka clears _txn_partitions here; the abort then counts as one of an empty transaction and is never sent,
        # and what was produced commits with the next transaction.
        self._transition_to(TransactionState.ABORTABLE_ERROR)
        self._pending_txn_partitions.clear()
        for _, _, waiter in self._pending_txn_offsets:
            if not waiter.done():
                waiter.set_exception(exc)
        self._pending_txn_offsets.clear()
        if not self._transaction_waiter.done():
            self._transaction_waiter.set_exception(exc)
            self._transaction_waiter.exception()  # the committer sees the error on its own future

    def maybe_add_partition_to_txn(self, tp: TopicPartition) -> None:
        if not self.version_2:
            super().maybe_add_partition_to_txn(tp)
            return
        if not self.is_in_transaction():
            raise InternalError(f"a batch for {tp} outside of a transaction", "Report this with the worker's log")
        self._txn_partitions.add(tp)

    def add_offsets_to_txn(self, offsets: Any, group_id: str) -> Any:
        if self.version_2:
            self._txn_consumer_group = group_id
        return super().add_offsets_to_txn(offsets, group_id)

    def bump(self, producer_id: int, epoch: int) -> None:
        self._pid_and_epoch = PidAndEpoch(producer_id, epoch)
        self._sequence_numbers.clear()


class _Sender(base.Sender):
    group: GroupMetadata | None = None

    async def _do_txn_offset_commit(self, offsets: Any, group_id: str) -> None:
        if offsets:
            node = await self._find_coordinator(CoordinationType.GROUP, group_id)
            await _OffsetCommit(self, offsets, group_id).do(node)

    async def _send_produce_req(self, node_id: int, batches: Any) -> None:
        await _Produce(self, batches).do(node_id)
        self._in_flight.remove(node_id)
        for tp in batches:
            self._muted_partitions.remove(tp)

    async def _do_txn_commit(self, commit_result: Any) -> None:
        manager = self._txn_manager
        await self._message_accumulator.flush_for_commit()
        if manager.is_empty_transaction():
            manager.complete_transaction()
            return
        handler = _EndVersion2 if manager.version_2 else _End
        await handler(self, commit_result).do(
            await self._find_coordinator(CoordinationType.TRANSACTION, manager.transactional_id)
        )


class _OffsetCommit(base.TxnOffsetCommitHandler):
    def create_request(self) -> wire.ExactRequest:
        manager, group = self._sender._txn_manager, self._sender.group
        topics: defaultdict[str, list[tuple[int, int, int, str]]] = defaultdict(list)
        for tp, offset in sorted(self._offsets.items()):
            topics[tp.topic].append((tp.partition, offset.offset, -1, offset.metadata))
        return wire.ExactRequest(
            wire.TxnOffsetCommitRequestV5 if manager.version_2 else wire.TxnOffsetCommitRequestV3,
            transactional_id=manager.transactional_id,
            group_id=group.group_id,
            producer_id=manager.producer_id,
            producer_epoch=manager.producer_epoch,
            generation_id=group.generation,
            member_id=group.member_id,
            group_instance_id=group.instance_id,
            topics=list(topics.items()),
        )

    def handle_response(self, response: Any) -> float | None:
        for code in (code for _, partitions in response.errors for _, code in partitions):
            if code in wire.OWNERSHIP_LOST:
                self._sender._txn_manager.error_transaction(wire.CommitFenced(wire.OWNERSHIP_LOST[code]))
                return None
            if code == wire.TRANSACTION_ABORTABLE:
                self._sender._txn_manager.error_transaction(wire.TransactionAborted("offset commit"))
                return None
            if code == wire.CONCURRENT_TRANSACTIONS:
                return CONCURRENT_BACKOFF_SECONDS
            _raise_if_fenced(code)
        return super().handle_response(response)


class _End(base.EndTxnHandler):
    def handle_response(self, response: Any) -> float | None:
        if response.error_code == wire.CONCURRENT_TRANSACTIONS:
            return CONCURRENT_BACKOFF_SECONDS
        _raise_if_fenced(response.error_code)
        return super().handle_response(response)


class _EndVersion2(_End):
    def create_request(self) -> wire.ExactRequest:
        manager = self._sender._txn_manager
        return wire.ExactRequest(
            wire.EndTxnRequestV5,
            transactional_id=manager.transactional_id,
            producer_id=manager.producer_id,
            producer_epoch=manager.producer_epoch,
            transaction_result=bool(self._commit_result),
        )

    def handle_response(self, response: Any) -> float | None:
        if response.error_code == 0:
            self._sender._txn_manager.bump(response.producer_id, response.producer_epoch)
        return super().handle_response(response)


class _Produce(base.SendProduceReqHandler):
    def create_request(self) -> Any:
        request = super().create_request()
        if not self._sender._txn_manager.version_2:
            return request
        return wire.ProduceRequest12(request._transactional_id, request._required_acks, request._timeout, request._topics)

    def handle_response(self, response: Any) -> Any:
        """Batches that came while the last transaction's markers are still being written go again; the rest is aiokafka's."""
        for topic, partitions in response.topics:
            for partition in [entry for entry in partitions if entry[1] == wire.CONCURRENT_TRANSACTIONS]:
                partitions.remove(partition)
                self._to_reenqueue.append(self._batches[TopicPartition(topic, partition[0])])
                self._default_backoff = CONCURRENT_BACKOFF_SECONDS
        return super().handle_response(response)


def _raise_if_fenced(code: int) -> None:
    if code in (wire.INVALID_PRODUCER_EPOCH, wire.PRODUCER_FENCED):
        raise ProducerFenced()
