"""From "these partitions are yours" to the first record, and back.

Owns: the steps of taking partition groups over (pause, capture the group metadata, stable committed offsets, restore, hooks,
seek, resume) and of giving them up (drain within a deadline, commit, close). Refuses: going on after any of these failed.

aiokafka calls the two listener methods inside its coordination task. `on_partitions_assigned` must return quickly (heartbeats
begin after it), so the work runs in a task of its own; what they raise is logged and forgotten there, so nothing is raised.
"""

# aiokafka has no types: its classes are Any here.
# mypy: allow-subclassing-any, no-warn-return-any

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from app.errors import OperatorError
from app.stream import exits
from app.stream.commit import Committer
from app.stream.config import Hooks, WorkerConfig
from app.stream.exits import ExitCode, FatalError
from app.stream.fencing import Fencer
from app.stream.metrics import Metrics
from app.stream.producer import GroupMetadata
from app.stream.restore import Restore
from app.stream.task import PartitionTask

log = logging.getLogger(__name__)


class Assignment(ConsumerRebalanceListener):
    """The partition groups of this worker, by generation."""

    def __init__(
        self,
        config: WorkerConfig,
        transactional_id: str,
        consumer: AIOKafkaConsumer,
        committer: Committer,
        tasks: dict[int, PartitionTask],
        new_tasks: Callable[[Collection[int]], Awaitable[Mapping[int, PartitionTask]]],
        hooks: Hooks,
        metrics: Metrics,
        on_ready: Callable[[], None],
    ) -> None:
        self._config = config
        self._transactional_id = transactional_id
        self._consumer = consumer
        self._committer = committer
        self._tasks = tasks
        self._new_tasks = new_tasks
        self._hooks = hooks
        self._metrics = metrics
        self._on_ready = on_ready
        self._opening: asyncio.Task[None] | None = None

    # -- aiokafka's listener

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        with exits.ends_process("giving up partitions failed"):
            if self._committer.group is None:
                return
            # aiokafka's heartbeat carries no instance id: a replaced static member is told UNKNOWN_MEMBER_ID, forgets its
            # generation and would rejoin under the same instance id, that is, steal the identity back from its successor.
            if self._config.group_instance_id is not None and self._consumer._coordinator.generation < 0:
                raise FatalError(
                    ExitCode.FENCED, "evicted from the group, or another process has this group.instance.id: not rejoining"
                )
            self._metrics.rebalances += 1
            self._changed("revoked", {tp.partition for tp in revoked})
            await self.close_down()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        with exits.ends_process("taking partitions over failed"):
            # aiokafka delivers records while this method still runs, and looks for positions of its own: neither is wanted.
            self._consumer.pause(*assigned)
            for tp in assigned:
                self._consumer.seek(tp, 0)
            self._committer.group = GroupMetadata.capture(self._consumer)
            partitions = {tp.partition for tp in assigned}
            log.info("assigned partition groups %s, generation %d", sorted(partitions), self._committer.group.generation)
            self._changed("assigned", partitions)
            for partition in [partition for partition in self._tasks if partition not in partitions]:
                await self._tasks.pop(partition).close()
            self._opening = asyncio.create_task(self._guarded(list(assigned)), name="open-partitions")

    async def close_down(self) -> None:
        """Stop opening, finish what is in hand, commit it. Past the deadline the process ends, uncommitted."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
            self._opening = None
        await self._drain()

    # -- giving up

    async def _drain(self) -> None:
        for task in self._tasks.values():
            task.pause()
        try:
            async with asyncio.timeout(self._config.drain_timeout_seconds):
                while not (self._committer.idle and all(task.drained for task in self._tasks.values())):
                    self._committer.kick(force=True)
                    await self._committer.progress()
        except TimeoutError:
            stuck = [f"{task.topic}-{task.partition}" for task in self._tasks.values() if not task.drained]
            exits.die(
                "the drain missed its deadline",
                FatalError(
                    ExitCode.DRAIN_TIMEOUT,
                    f"{self._config.drain_timeout_seconds:g} s passed inside {', '.join(stuck)}; not committed",
                ),
            )

    # -- taking over

    async def _guarded(self, assigned: list[TopicPartition]) -> None:
        with exits.ends_process("taking partitions over failed"):
            await self._open(assigned)

    async def _open(self, assigned: list[TopicPartition]) -> None:
        """What this worker had already goes on first: it does not wait for the rows of what is new to it."""
        began = time.monotonic()
        kept = [tp for tp in assigned if tp.partition in self._tasks]
        new = [tp for tp in assigned if tp.partition not in self._tasks]
        restored = 0
        for groups in filter(None, (kept, new)):
            restored += await self._open_groups(groups)
        partitions = sorted({tp.partition for tp in assigned})
        self._changed("ready", set(partitions))
        self._on_ready()
        log.info("ready: partition groups %s, %d records restored, %.2f s", partitions, restored, time.monotonic() - began)

    async def _open_groups(self, assigned: list[TopicPartition]) -> int:
        """The number of records restored."""
        partitions = sorted({tp.partition for tp in assigned})
        self._tasks.update(await self._new_tasks([partition for partition in partitions if partition not in self._tasks]))
        positions, restored = await self._positions(assigned)
        for tp, offset in positions.items():
            self._consumer.seek(tp, offset)
            self._tasks[tp.partition].positions[tp.topic] = offset
            self._tasks[tp.partition].offsets_recorded = False
        for partition in partitions:
            await self._tasks[partition].start()
        self._consumer.resume(*(tp for tp in assigned if self._tasks[tp.partition].active))
        return restored

    async def _positions(self, assigned: list[TopicPartition]) -> tuple[dict[TopicPartition, int], int]:
        """(where to read on, records restored). The order matters: offsets first, since an unstable one may fence an owner."""
        fencer = Fencer(
            self._consumer, assigned, self._transactional_id, self._config.kafka, self._config.transaction_timeout_ms
        )
        committed = await fencer.committed()
        stores = {
            TopicPartition(changelog, task.partition): store
            for task in (self._tasks[partition] for partition in {tp.partition for tp in assigned})
            for changelog, store in zip(task.changelogs, task.stores, strict=True)
        }
        restore = Restore(self._config.kafka, stores, self._metrics, fencer.fence_owners)
        # Side by side, now that no transaction can change these partitions any more.
        restored, _ = await asyncio.gather(restore.run(), self._before({tp.partition for tp in assigned}))
        found = {tp: offset.offset for tp, offset in committed.items()}
        missing = [tp for tp in assigned if tp not in found]
        begins = await self._consumer.beginning_offsets(assigned)
        for partition in {tp.partition for tp in missing}:
            never_committed = not any(tp.partition == partition for tp in found)
            recovered = await self._recover(partition, never_committed and restore.has_state(partition))
            found |= {tp: recovered.get(tp.topic, begins[tp]) for tp in missing if tp.partition == partition}
        _check_retained(found, begins)
        return found, restored

    async def _before(self, partitions: set[int]) -> None:
        if self._hooks.before_assigned is not None:
            await self._hooks.before_assigned(partitions)

    async def _recover(self, partition: int, has_state: bool) -> Mapping[str, int]:
        """Next offsets by topic where the group's are missing. State without any offset is never read again from the start."""
        recovered: Mapping[str, int] = {}
        if self._hooks.recover_offsets is not None:
            recovered = await self._hooks.recover_offsets(partition)
            if recovered:
                log.warning("committed offsets of partition group %d are missing; recovered %s", partition, dict(recovered))
        if not recovered and has_state:
            raise OperatorError(
                f"partition group {partition} has state in its changelogs but no committed offsets",
                f"Restore the offsets of group {self._config.app_id}; reading from the start would apply every record twice",
            )
        return recovered

    def _changed(self, phase: str, partitions: Collection[int]) -> None:
        if self._hooks.assignment_changed is not None:
            self._hooks.assignment_changed(phase, partitions)


def _check_retained(positions: Mapping[TopicPartition, int], begins: Mapping[TopicPartition, int]) -> None:
    lost = [
        f"{tp.topic}-{tp.partition}: {begins[tp] - offset} records" for tp, offset in positions.items() if offset < begins[tp]
    ]
    if lost:
        raise OperatorError(
            f"the broker deleted records that were never processed ({'; '.join(sorted(lost))})",
            "Lengthen retention.ms; to go on without them, set the group's offsets to the topics' beginning by hand",
        )
