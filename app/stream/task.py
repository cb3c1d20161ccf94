"""A partition task: partition p of every input topic, its agents, its stores, the epoch being filled and the one in flight.

Owns: feeding the agents slice by slice, in order, and poison records. Refuses: commits (commit.py takes finished epochs) and
rebalances (assignment.py opens, drains and closes). What agents read, write and send is in state.py.

A task that is inside a record (`busy`) stays out of a transaction, so an epoch always ends between two records.
"""

import asyncio
import inspect
import logging
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from app.errors import InternalError
from app.stream import exits
from app.stream.config import AgentSpec, Hooks, TopicSize
from app.stream.drive import PARK, AgentCoroutine, AgentEndedError, Forward, advance, shut
from app.stream.epoch import Epoch
from app.stream.metrics import Metrics
from app.stream.order import Backlog, Run
from app.stream.poison import INFRASTRUCTURE, PoisonMarks, TooManyPoisonError
from app.stream.state import GroupState, KeyPartitions
from tables.store import Store

log = logging.getLogger(__name__)

# All groups together hold the event loop no longer than this: heartbeats need it, and so does the commit in flight, which takes
# some twenty trips through the loop.
HOLD_SECONDS = 0.004
HOLD_LEAST_SECONDS = 0.0005
SLICE_FIRST = 64
SLICE_MAX = 1024
# Taken from the backlog at once.
TAKE_RECORDS = 1000
# How long a group waits for a topic that has more at the broker: a leader that is down must not stop the others.
ORDER_WAIT_SECONDS = 1.0

current_task: ContextVar["PartitionTask | None"] = ContextVar("partition_task", default=None)


class Feed:
    """What an agent's stream reads: the records of the slice.

    The stream sets `task.record` before it hands one out, and parks after the last.
    """

    __slots__ = ("slice", "task")

    def __init__(self, task: "PartitionTask") -> None:
        self.task = task
        self.slice: list[Any] = []


class Room(Protocol):
    """What a task needs of the worker around it."""

    now_ms: int
    metrics: Metrics
    sizes: dict[str, TopicSize]
    key_partitions: dict[str, KeyPartitions]
    hooks: Hooks

    def is_full(self) -> bool: ...
    def hold_seconds(self) -> float: ...
    def kick(self, force: bool = False) -> None: ...
    async def progress(self) -> None: ...
    def left_record(self) -> None: ...
    def is_behind(self, topic: str, partition: int) -> bool: ...
    def wants_records(self) -> None: ...


class PartitionTask(GroupState):
    """One at a time for each partition group of this worker."""

    def __init__(
        self,
        room: Room,
        partition: int,
        agents: Sequence[AgentSpec],
        stores: list[Store],
        changelogs: Sequence[str],
        marks: PoisonMarks,
        max_epoch_bytes: int,
    ) -> None:
        super().__init__(partition, stores, changelogs, room.sizes, room.key_partitions, max_epoch_bytes)
        self.room = room
        self.marks = marks
        self.topic: str | None = None
        self.backlog = Backlog({agent.topic for agent in agents})
        self.wake = asyncio.Event()
        self.active = False
        self.busy = False  # inside a record
        self.processing = False  # between taking runs and being done with them
        self.stopped: str | None = None  # why this group takes no more records
        self._agents = agents
        self._again: list[Run] = []  # to be done again after a poison record, before the backlog
        self._blocked_since: float | None = None
        self._feeds: dict[str, list[tuple[Feed, AgentCoroutine]]] = {}
        self._slice_records = SLICE_FIRST
        self._held_since = 0.0
        self._hold_seconds = HOLD_SECONDS
        self._loop_task: asyncio.Task[None] | None = None

    def _cut(self) -> None:
        """End the slice after the record in hand: its list is shortened under the feed, which then parks."""
        for feed, _ in self._feeds.get(self.topic or "", ()):
            offset = self.record.offset
            index = next((i for i, record in enumerate(feed.slice) if record.offset == offset), None)
            if index is not None:
                del feed.slice[index + 1 :]

    # -- lifecycle, for assignment.py

    async def start(self) -> None:
        """Take records from now on. The agents run up to their first record here, so what they cannot do shows before it."""
        if self.stopped is not None:
            return
        self._forget_records()
        token = current_task.set(self)
        try:
            await self._restart_agents()
        finally:
            current_task.reset(token)
        self.active = True
        if self._loop_task is None:
            self._loop_task = asyncio.create_task(self._guarded(), name=f"partition-{self.partition}")
        self.wake.set()

    def pause(self) -> None:
        """Take no more records; what is fetched and not begun is read again by the next owner."""
        self.active = False
        self._forget_records()
        self.wake.set()
        self.room.left_record()  # it may wait for room in the epoch

    @property
    def drained(self) -> bool:
        return not self.processing and self.inflight is None and not self.current.records

    def end_commit(self) -> None:
        assert self.inflight is not None
        if self.marks:
            for topic, offset in self.inflight.next_offsets.items():
                self.marks.forget(topic, offset)
        super().end_commit()

    async def close(self) -> None:
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.wait([self._loop_task])
        self._close_agents()
        for store in self.stores:
            store.close()

    def feed(self, topic: str, records: Sequence[Any]) -> None:
        self.backlog.add(topic, records)
        self.wake.set()

    def _forget_records(self) -> None:
        self.backlog.clear()
        self._again = []
        self._blocked_since = None

    # -- the loop

    async def _guarded(self) -> None:
        current_task.set(self)
        with exits.ends_process(f"partition group {self.partition} failed"):
            try:
                await self._run()
            except Exception:
                if self.record is not None:
                    log.critical("in %s-%d at offset %d", self.topic, self.partition, self.record.offset)
                raise

    async def _run(self) -> None:
        while True:
            while self.active and (runs := self._next_runs()):
                self._hold_seconds = self.room.hold_seconds()
                self._held_since = time.perf_counter()
                self.now_ms = self.room.now_ms
                self.room.wants_records()
                self.processing = True
                await self._process(runs)
                self.processing = False
                self.room.left_record()
                self.room.kick()
                await asyncio.sleep(0)
            self.wake.clear()
            self.room.kick()
            await self.wake.wait()

    def _next_runs(self) -> list[Run]:
        """What to process next; nothing while a topic is waited for, which is at most ORDER_WAIT_SECONDS."""
        if self._again:
            runs, self._again = self._again, []
            return runs
        if not self.backlog:
            return []
        now = time.monotonic()
        patience = self._blocked_since is None or now - self._blocked_since < ORDER_WAIT_SECONDS
        runs = self.backlog.take(TAKE_RECORDS, self._is_behind if patience else _never)
        if runs:
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = now
            asyncio.get_running_loop().call_later(ORDER_WAIT_SECONDS, self.wake.set)
        return runs

    def _is_behind(self, topic: str) -> bool:
        return self.room.is_behind(topic, self.partition)

    async def _process(self, runs: list[Run]) -> None:
        """All of `runs`, unless the group is paused, stops, or meets a poison record; then the rest is left or queued again."""
        for number, (topic, records) in enumerate(runs):
            start, count = 0, len(records)
            while start < count:
                while self.active and self.room.is_full():
                    self.room.kick(force=True)
                    await self.room.progress()
                    self._held_since = time.perf_counter()
                if not self.active:
                    return
                part = self._next_slice(topic, records, start)
                error = await self._slice(topic, part)
                if error is not None:
                    self._discard(error, topic, [Run(topic, records[start:]), *runs[number + 1 :]])
                    await self._restart_agents()
                    return
                start += len(part)
                if time.perf_counter() - self._held_since > self._hold_seconds:
                    self.room.kick()
                    await asyncio.sleep(0)
                    self._held_since = time.perf_counter()

    def _next_slice(self, topic: str, records: Sequence[Any], start: int) -> list[Any]:
        """The next records for the agents; a poisoned record is a slice of its own."""
        # With several agents on a topic each record goes through all of them before the next one begins.
        size = self._slice_records if len(self._feeds[topic]) == 1 else 1
        part = list(records[start : start + size])
        if self.marks:
            poisoned = self.marks.next_offset(topic, part[0].offset, part[-1].offset)
            if poisoned is not None:
                before = [record for record in part if record.offset < poisoned]
                return before or part[:1]
        return part

    async def _slice(self, topic: str, part: list[Any]) -> Exception | None:
        """Drive the agents through `part` (which may be cut short); the exception of a record that turned out to be poison."""
        self.topic, self.busy = topic, True
        began = time.perf_counter()
        try:
            poison = self.marks.get(topic, part[0].offset) if self.marks else None
            if poison is not None:
                await self._call_on_poison(topic, part[0], poison)
            else:
                for feed, agent in self._feeds[topic]:
                    feed.slice = part
                    signal = agent.send(None)
                    if signal is not PARK:
                        await Forward(agent, signal)
        except StopIteration:
            raise AgentEndedError(f"an agent of {topic} left its loop") from None
        except INFRASTRUCTURE:
            raise
        except Exception as error:
            if self.record is None or self.room.hooks.on_poison is None:
                raise
            return error
        finally:
            self.busy = False
            self.room.left_record()
        self.record = None
        self.current.processed(topic, part)
        self.room.metrics.consumed(topic, len(part))
        self._adapt(time.perf_counter() - began, len(part))
        return None

    def _adapt(self, seconds: float, count: int) -> None:
        if seconds > self._hold_seconds and count > 1:
            self._slice_records = max(1, count // 2)
        elif seconds < self._hold_seconds / 2 and count == self._slice_records:
            self._slice_records = min(SLICE_MAX, count * 2)

    # -- poison

    def _discard(self, error: Exception, topic: str, rest: list[Run]) -> None:
        """Drop the current epoch and do its records again, with the failed one marked. Nothing of it has left this process."""
        record, epoch = self.record, self.current
        log.error(
            "poison record %s-%d offset %d: %r; doing %d records again without it",
            topic, self.partition, record.offset, error, epoch.records, exc_info=error,
        )  # fmt: skip
        self.room.metrics.poison += 1
        self.room.metrics.discarded_records += epoch.records
        self.record = None
        self.current = Epoch(len(self.stores))
        try:
            self.marks.add(topic, record.offset, error)
        except TooManyPoisonError as limit:
            self._stop(str(limit))
            return
        self._again = [*epoch.runs, *rest]

    def _stop(self, why: str) -> None:
        self.stopped = why
        self.active = False
        self._forget_records()
        self.room.metrics.stopped_partitions.append(self.partition)
        log.critical(
            "partition group %d STOPPED: %s. The code is wrong, not the data; the other groups go on. "
            "Deploy a fix and restart the worker",
            self.partition, why,
        )  # fmt: skip

    async def _call_on_poison(self, topic: str, record: Any, error: Exception) -> None:
        hook = self.room.hooks.on_poison
        if hook is None:
            raise InternalError("a poison mark without an on_poison hook", "Report this with the worker's log")
        self.record = record
        try:
            result = hook(topic, self.partition, record, error)
            if inspect.isawaitable(result):
                await result
        except Exception as failure:
            raise InternalError(
                f"on_poison failed for {topic}-{self.partition} offset {record.offset}: {failure!r}",
                "Mend the hook: it must take any record",
            ) from failure

    # -- agents

    async def _restart_agents(self) -> None:
        """New coroutines, run up to their first record: what an old one remembers of a discarded epoch goes with it."""
        self._close_agents()
        self.record = None
        for spec in self._agents:
            feed, agent = spec.start(self)
            self._feeds.setdefault(spec.topic, []).append((feed, agent))
            await advance(agent)

    def _close_agents(self) -> None:
        for feeds in self._feeds.values():
            for _, agent in feeds:
                shut(agent)
        self._feeds = {}


def _never(topic: str) -> bool:
    return False
