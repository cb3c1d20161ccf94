"""The engine room: consumer, producer, partition tasks and committer of one worker, tied together.

Owns: start, the fetch loop, back-pressure, stop. Refuses: restarting anything. What fails ends the process (exits.py).
It knows nothing of Faust; app/stream/face is the face over it.
"""

import asyncio
import contextlib
import fcntl
import logging
import time
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO

from aiokafka import TopicPartition

from app.errors import InternalError, OperatorError
from app.stream import exits
from app.stream.assignment import Assignment
from app.stream.commit import Committer
from app.stream.config import (
    BATCH_BYTES,
    MAX_BACKLOG_BYTES,
    QUEUED_FETCHES,
    Hooks,
    TopicSize,
    Topology,
    WorkerConfig,
    transactional_prefix,
)
from app.stream.consumer import group_consumer, leave_for_good, use_raw_records
from app.stream.history import DRAINED, History
from app.stream.metrics import Metrics
from app.stream.opening import open_all
from app.stream.poison import PoisonMarks
from app.stream.producer import TransactionalProducer
from app.stream.state import KeyPartitions
from app.stream.task import HOLD_LEAST_SECONDS, HOLD_SECONDS, PartitionTask
from app.stream.topology import check_topology, grown_topology
from tables.store import ASIDE, Store, shared_memory

log = logging.getLogger(__name__)

# How often an idle fetch loop looks whether the group coordination has failed.
CHECK_SECONDS = 1.0


class Worker:
    """`start` returns when the group has been joined; `ready` is set when the first assignment is open."""

    def __init__(self, config: WorkerConfig, topology: Topology, hooks: Hooks, metrics: Metrics | None = None) -> None:
        self.config = config
        self.topology = topology
        self.hooks = hooks
        self.metrics = metrics or Metrics()
        self.tasks: dict[int, PartitionTask] = {}
        self.sizes: dict[str, TopicSize] = {}
        self.key_partitions: dict[str, KeyPartitions] = {}
        self.started = asyncio.Event()
        self.ready = asyncio.Event()
        self.now_ms = 0
        self.groups = 0
        self._memory = shared_memory()
        self._changelogs = [config.changelog(table) for table in topology.tables]
        self._arrived = asyncio.Event()
        self._fetching: asyncio.Task[None] | None = None
        self._lock: IO[str] | None = None

    # -- lifecycle

    async def start(self) -> None:
        """Check the topics, join the group. Raises OperatorError for anything that a person must mend."""
        self._lock = _lock(self.directory)
        self.history = History(self.directory / "history.json")
        self.history.started()
        exits.witness(self.history.ended)
        self.transactional_id = transactional_prefix(self.config.app_id) + self.worker_id()
        self.producer = TransactionalProducer(
            transactional_id=self.transactional_id,
            transaction_timeout_ms=self.config.transaction_timeout_ms,
            max_batch_size=BATCH_BYTES,
            max_request_size=self.config.max_request_bytes,
            **self.config.kafka,
        )
        self.topology.assignor.worker_id = self.worker_id()
        self.consumer = group_consumer(self.config, self.topology.assignor)
        # All at once, for a quick restart; the check is awaited first, since its error says most.
        # InitProducerId fences a former process of this worker and ends its transaction, before any offset is read.
        starting = asyncio.gather(self.producer.start(), self.consumer.start())
        try:
            self.groups, self.sizes = await check_topology(self.config, self.topology)
        except BaseException:
            starting.cancel()
            await asyncio.wait([starting])
            raise
        self.topology.assignor.groups = self.groups
        await starting
        self.key_partitions = {topic: KeyPartitions(size.partitions) for topic, size in self.sizes.items()}
        await self._preload_metadata()
        use_raw_records(self.consumer, self._arrived.set)
        self.committer = Committer(
            self.config, self.producer, self.transactional_id, self.tasks, self.sizes, self.metrics, self._on_commit,
            self.hooks.after_commit,
        )  # fmt: skip
        self.assignment = Assignment(
            self.config, self.transactional_id, self.consumer, self.committer, self.tasks, self._new_tasks,
            self.hooks, self.metrics, self._on_ready,
        )  # fmt: skip
        self.consumer.subscribe(sorted({agent.topic for agent in self.topology.agents}), listener=self.assignment)
        self._fetching = asyncio.create_task(self._guarded_fetch(), name="fetch")
        self.started.set()

    async def stop(self, *, for_good: bool = False) -> None:
        """Drain, commit, leave the group, close. A static member keeps its place for its successor, unless it goes for good."""
        if self._fetching is None:
            return
        self._fetching.cancel()
        await asyncio.wait([self._fetching])
        self._fetching = None
        await self.assignment.close_down()
        for task in self.tasks.values():
            await task.close()
        self.tasks.clear()
        if for_good:
            leave_for_good(self.consumer)
        await self.consumer.stop()
        await self.producer.stop()
        self.history.ended(DRAINED)
        if self._lock is not None:
            self._lock.close()

    async def grow(self) -> None:
        """There are more partition groups than before: know their topics, so that they can be written to.

        Ends the process when a topic does not have them: the start of its successor says which.
        """
        with exits.ends_process("the new partitions cannot be taken"):
            self.groups, sizes = await grown_topology(self.config, self.topology)
            await self.producer.client.force_metadata_update()
            await self.consumer._client.force_metadata_update()
            self.sizes.update(sizes)
            # In place, like the sizes: the tasks that run hold on to both.
            self.key_partitions.update({topic: KeyPartitions(size.partitions) for topic, size in sizes.items()})
            self.topology.assignor.groups = self.groups

    def join_again(self) -> None:
        """Tell the group how many partition groups this worker knows; those that all know are shared."""
        self.consumer._coordinator.request_rejoin()

    @property
    def directory(self) -> Path:
        """This worker's own: two workers on one machine have different instance ids, or different data directories."""
        return self.config.data_dir / "workers" / self.config.app_id / (self.config.group_instance_id or "worker")

    @property
    def _stores_directory(self) -> Path:
        return self.directory / "stores"

    def worker_id(self) -> str:
        """The group instance id, else an id that survives restarts in this data directory."""
        if self.config.group_instance_id is not None:
            return self.config.group_instance_id
        path = self.directory / "worker.id"
        if not path.exists():
            path.write_text(uuid.uuid4().hex[:12])
        return path.read_text().strip()

    def stores_set_aside(self) -> list[Path]:
        """What is kept of damaged stores and of those that were ahead of their changelog: a person decides when it may go."""
        return sorted(self._stores_directory.glob(f"*{ASIDE}*"))

    def owned_partitions(self) -> set[int]:
        """Partition groups that take records here and now."""
        return {partition for partition, task in self.tasks.items() if task.active}

    def lag(self, topic: str, partition: int) -> int | None:
        """Records that a reader could see and this worker has not committed; None before the first fetch."""
        tp = TopicPartition(topic, partition)
        if tp not in self.consumer.assignment():
            return None
        end = self.consumer.last_stable_offset(tp)
        return None if end is None else max(0, end - self.tasks[partition].positions.get(topic, 0))

    # -- what tasks need (task.Room)

    def is_full(self) -> bool:
        """Whether the epochs being filled hold as much as the worker may hold back."""
        records = size = 0
        for task in self.tasks.values():
            records += task.current.records
            size += task.current.bytes
        return records >= self.config.max_epoch_records or size >= self.config.max_epoch_bytes

    def hold_seconds(self) -> float:
        """One group's share of the time that all may hold the event loop."""
        working = sum(1 for task in self.tasks.values() if task.processing or task.backlog)
        return max(HOLD_LEAST_SECONDS, HOLD_SECONDS / max(1, working))

    def kick(self, force: bool = False) -> None:
        self.committer.kick(force)

    async def progress(self) -> None:
        await self.committer.progress()

    def left_record(self) -> None:
        self.committer.notify()

    def is_behind(self, topic: str, partition: int) -> bool:
        """Whether the broker has records of it that were not fetched yet, or nobody has asked since the assignment."""
        assigned = self.consumer._subscription.subscription.assignment
        state = None if assigned is None else assigned.state_value(TopicPartition(topic, partition))
        if state is None or not state.has_valid_position:
            return False
        return state.lso is None or state.position < state.lso

    def wants_records(self) -> None:
        self._arrived.set()

    # -- fetching

    async def _guarded_fetch(self) -> None:
        with exits.ends_process("fetching failed"):
            while True:
                self._arrived.clear()
                if not await self._fetch():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(CHECK_SECONDS):
                            await self._arrived.wait()

    async def _fetch(self) -> bool:
        """Hand what is there to the groups that have room; whether there was anything."""
        # `getmany` asks this too, but a worker that was never let into its group has nothing to get.
        self.consumer._coordinator.check_errors()
        crowded = sum(task.backlog.size_bytes for task in self.tasks.values()) >= MAX_BACKLOG_BYTES
        wanted = [tp for tp in self.consumer.assignment() if self._has_room(tp, crowded)]
        if not wanted:
            self.metrics.fetch_paused += bool(self.owned_partitions())
            return False
        fetched = await self.consumer.getmany(*wanted, timeout_ms=0, max_records=self.config.fetch_records)
        if not fetched:
            # A fetch of transaction markers alone moves positions too, and a group may wait for that.
            for waiting in self.tasks.values():
                if waiting.backlog:
                    waiting.wake.set()
            return False
        self.now_ms = int(time.time() * 1000)
        for tp, records in fetched.items():
            task = self.tasks.get(tp.partition)
            if task is not None and task.active:
                task.feed(tp.topic, records)
        await asyncio.sleep(0)
        return True

    def _has_room(self, tp: TopicPartition, crowded: bool) -> bool:
        task = self.tasks.get(tp.partition)
        if task is None or not task.active:
            return False
        return task.backlog.size(tp.topic) < (1 if crowded else self.config.fetch_records * QUEUED_FETCHES)

    # -- parts

    async def _new_tasks(self, partitions: Collection[int]) -> dict[int, PartitionTask]:
        tables = self.topology.tables
        paths = [self._stores_directory / f"{table}-{partition}.db" for partition in partitions for table in tables]
        stores = iter(await open_all(paths, self._memory))
        return {partition: self._new_task(partition, [next(stores) for _ in tables]) for partition in partitions}

    def _new_task(self, partition: int, stores: list[Store]) -> PartitionTask:
        marks = PoisonMarks(self.config.poison_limit, self.config.poison_window_seconds)
        return PartitionTask(
            self, partition, self.topology.agents, stores, self._changelogs, marks, self.config.max_epoch_bytes
        )

    async def _preload_metadata(self) -> None:
        for topic, size in self.sizes.items():
            known = await self.producer.partitions_for(topic)
            if len(known) < size.partitions:  # more, while the topics are being expanded
                raise InternalError(
                    f"{topic} has {len(known)} partitions, a moment ago {size.partitions}", "Start the worker again"
                )
        log.info("transactional id %s, transaction.version %d", self.transactional_id, 2 if self.producer.version_2 else 1)

    def _on_ready(self) -> None:
        self.ready.set()
        self._arrived.set()

    def _on_commit(self, offsets: Mapping[tuple[str, int], int], seconds: float) -> None:
        if self.hooks.committed is not None:
            self.hooks.committed(offsets, seconds)


def _lock(directory: Path) -> IO[str]:
    """Two processes in one directory would have one transactional id and fence each other for ever."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / "worker.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise OperatorError(
            f"another worker runs in {directory}",
            "Stop it, or give this one TRUELIFT_GROUP_INSTANCE_ID or TRUELIFT_DATA_DIR of its own",
        ) from error
    return lock
