"""The one transaction of a worker: what its partition groups did since the last one becomes visible, or nothing of it.

Owns: when a commit is due, the transaction (outputs, changelogs, offsets), and applying the stores after it.
Refuses: two transactions at once, and any repair. A failed send, a failed commit or a lost ownership ends the process.

The order is the whole proof. Outputs and changelog rows are flushed, each send's future checked (in aiokafka a failed batch
does not fail its transaction); then offsets with the group metadata captured at assignment (KIP-447); then EndTxn; then each
store in one batch with its changelog offset. A crash before EndTxn leaves an open transaction that nobody reads and that is
aborted; a crash after it leaves stores behind their changelogs, which restore makes up for.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import OffsetAndMetadata, RecordMetadata

from app.stream import exits
from app.stream.config import BATCH_BYTES, TopicSize, WorkerConfig
from app.stream.epoch import NO_HEADERS, Output
from app.stream.exits import ExitCode, FatalError
from app.stream.metrics import Metrics
from app.stream.producer import GroupMetadata, TransactionalProducer
from app.stream.protocol import CommitFenced, TransactionAborted
from app.stream.task import PartitionTask

log = logging.getLogger(__name__)

ABORT_SECONDS = 5.0
# While records wait that are fetched and not begun, a commit waits for more of them, so long at most: each transaction costs
# the worker milliseconds, and behind a backlog a decision waits longer than that anyway.
BEHIND_SECONDS = 0.01
# How long a broker writes a transaction's markers after it has answered EndTxn. A produce of the next transaction that comes
# meanwhile is held back by the broker for 20 ms (add.partitions.to.txn.retry.backoff.ms, KAFKA-18654): five times as long.
MARKERS_SECONDS = 0.004

SendFuture = asyncio.Future[RecordMetadata]


class _Changelog(NamedTuple):
    """A store to apply once the transaction has committed: `last` resolves to the base offset of a batch of `records`."""

    task: PartitionTask
    table: int
    last: SendFuture
    records: int

    def apply(self) -> int:
        """Write the rows; their number."""
        base = self.last.result().offset
        if base < 0:
            # DUPLICATE_SEQUENCE_NUMBER without an offset: the rows are there, where is unknown. A restore knows.
            raise KafkaError("a changelog batch was acknowledged without its offset")
        inflight = self.task.inflight
        assert inflight is not None
        rows = inflight.overlays[self.table]
        self.task.stores[self.table].apply(rows, base + self.records - 1)
        return len(rows)


class _Batch(BatchBuilder):  # type: ignore[misc]
    """aiokafka's batch, filled in one go: its own `append` costs as much again for each record."""

    def fill(self, records: Sequence[Output], start: int) -> int:
        """Add records from `start` on until they end or the batch is full (it takes one at least); their number."""
        append = self._builder.append
        count = 0
        for key, value, timestamp, headers in records[start:] if start else records:
            if append(count, timestamp, key, value, headers) is None:
                break
            count += 1
        self._relative_offset = count
        self.close()
        return count


class Committer:
    """At most one transaction at a time, at most one each `commit_interval_ms`."""

    def __init__(
        self,
        config: WorkerConfig,
        producer: TransactionalProducer,
        transactional_id: str,
        tasks: Mapping[int, PartitionTask],
        sizes: Mapping[str, TopicSize],
        metrics: Metrics,
        on_commit: Callable[[Mapping[tuple[str, int], int], float], None],
        after_commit: Callable[[list[Any]], None] | None = None,
    ) -> None:
        self.group: GroupMetadata | None = None
        self._config = config
        self._faults = config.faults
        self._producer = producer
        self._transactional_id = transactional_id
        self._tasks = tasks
        self._sizes = sizes
        self._metrics = metrics
        self._on_commit = on_commit
        self._after_commit = after_commit
        self._interval_seconds = config.commit_interval_ms / 1000
        self._deadline_seconds = config.transaction_timeout_ms / 1000
        self._next_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []

    # -- when

    def kick(self, force: bool = False) -> None:
        """Begin a commit if there is something to commit, none is running and the interval has passed (or `force`)."""
        if self._running is not None:
            return
        # A task inside a record stays out: the next transaction takes what it does now.
        ready = [task for task in self._tasks.values() if task.current.records and not task.busy]
        if not ready:
            return
        now = time.monotonic()
        if not force and now < (due_at := self._due_at()):
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(due_at - now, self._on_timer)
            return
        self._next_at = now + self._interval_seconds
        for task in ready:
            task.begin_commit()
        self._running = asyncio.create_task(self._guarded(ready), name="commit")

    def _due_at(self) -> float:
        behind = any(task.backlog for task in self._tasks.values())
        return self._next_at + BEHIND_SECONDS if behind else self._next_at

    def _on_timer(self) -> None:
        self._timer = None
        self.kick()

    async def progress(self) -> None:
        """Return after the next commit has ended, or the next task has left a record."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def notify(self) -> None:
        """Something that a waiter may wait for has happened."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    @property
    def idle(self) -> bool:
        return self._running is None

    # -- what

    async def _guarded(self, tasks: list[PartitionTask]) -> None:
        began = time.monotonic()
        with exits.ends_process("the commit failed"):
            self._faults.reach("before_begin")
            try:
                async with asyncio.timeout(self._deadline_seconds):
                    await self._commit(tasks)
            except (CommitFenced, TransactionAborted, ProducerFenced) as error:
                await self._abort()
                raise FatalError(ExitCode.FENCED, f"{error!r}: another worker owns these partitions") from error
            except TimeoutError as error:
                raise FatalError(ExitCode.KAFKA, f"no answer within {self._deadline_seconds:g} s") from error
            self._running = None
            self._finished(tasks, time.monotonic() - began)

    async def _commit(self, tasks: list[PartitionTask]) -> None:
        faults = self._faults
        await self._producer.begin_transaction()
        changelogs = await self._produce(tasks)
        faults.reach("before_offsets")
        await self._producer.commit_offsets(self._offsets(tasks), self._group_metadata())
        if faults.apply_before_commit:
            self._apply(changelogs)
        faults.reach("before_commit")
        await self._producer.commit_transaction()
        faults.reach("after_commit")
        if not faults.apply_before_commit:
            self._apply(changelogs)
        faults.reach("after_apply")

    async def _produce(self, tasks: list[PartitionTask]) -> list[_Changelog]:
        """Send every output and every dirty row; return when the broker has all of them."""
        futures: list[SendFuture] = []
        for (topic, partition), outputs in _merged_outputs(tasks).items():
            await self._send(topic, partition, outputs, futures)
            self._metrics.sent(topic, len(outputs))
        changelogs = []
        now_ms = int(time.time() * 1000)
        for task in tasks:
            assert task.inflight is not None
            for table, overlay in enumerate(task.inflight.overlays):
                if overlay:
                    rows: list[Output] = [(key, value, now_ms, NO_HEADERS) for key, value in overlay.items()]
                    last, count = await self._send(task.changelogs[table], task.partition, rows, futures)
                    changelogs.append(_Changelog(task, table, last, count))
        await self._producer.flush()
        for future in futures:
            await future
        return changelogs

    async def _send(
        self, topic: str, partition: int, records: Sequence[Output], futures: list[SendFuture]
    ) -> tuple[SendFuture, int]:
        """Batches of one partition; (future, record count) of the last one."""
        size = min(BATCH_BYTES, self._sizes[topic].max_record_bytes)
        done = 0
        while True:
            batch = _Batch(size, 0, is_transactional=1)
            count = batch.fill(records, done)
            done += count
            future: SendFuture = await self._producer.send_batch(batch, topic, partition=partition)
            futures.append(future)
            if done == len(records):
                return future, count

    def _offsets(self, tasks: list[PartitionTask]) -> dict[TopicPartition, OffsetAndMetadata]:
        # The metadata names this worker's transactional id, so that a successor can fence it (fencing.py).
        return {
            TopicPartition(topic, task.partition): OffsetAndMetadata(offset, self._transactional_id)
            for task in tasks
            for topic, offset in task.next_offsets().items()
        }

    def _group_metadata(self) -> GroupMetadata:
        if self.group is None:
            raise FatalError(ExitCode.INTERNAL, "a commit before the first assignment")
        if self._faults.blank_group_metadata:
            return GroupMetadata(self.group.group_id, -1, "", None)
        return self.group

    def _apply(self, changelogs: list[_Changelog]) -> None:
        self._metrics.rows_written += sum(changelog.apply() for changelog in changelogs)

    def _finished(self, tasks: list[PartitionTask], seconds: float) -> None:
        self._next_at = max(self._next_at, time.monotonic() + MARKERS_SECONDS)
        self._metrics.committed(seconds)
        offsets = {(topic, task.partition): offset for task in tasks for topic, offset in task.next_offsets().items()}
        notes = [note for task in tasks if task.inflight is not None for note in task.inflight.after_commit]
        for task in tasks:
            task.end_commit()
        self._on_commit(offsets, seconds)
        if notes and self._after_commit is not None:
            self._after_commit(notes)
        self.notify()
        self.kick()

    async def _abort(self) -> None:
        """Best effort: an aborted transaction frees its readers at once instead of at its timeout."""
        try:
            async with asyncio.timeout(ABORT_SECONDS):
                await self._producer.abort_transaction()
        except (KafkaError, TimeoutError, AssertionError) as error:
            log.warning("the abort was not acknowledged: %r", error)


def _merged_outputs(tasks: Sequence[PartitionTask]) -> dict[tuple[str, int], list[Output]]:
    """Outputs of all groups: one batch for each partition, whoever writes to it."""
    merged: dict[tuple[str, int], list[Output]] = {}
    for task in tasks:
        assert task.inflight is not None
        for target, outputs in task.inflight.outputs.items():
            merged[target] = merged[target] + outputs if target in merged else outputs
    return merged
