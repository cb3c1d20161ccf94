"""A partition task: partition p of every input topic, its agents, its stores, the epoch being filled and the one in flight.

Owns: feeding the agents slice by slice, in order, and poison records. Refuses: commits (commit.py takes finished epochs) and
rebalances (assignment.py opens, drains and closes). What agents read, write and send is in state.py.

A task that is inside a record (`busy`) stays out of a transaction, so an epoch always ends between two records.
"""

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any

from app.errors import InternalError
from app.stream import exits
from app.stream.config import AgentSpec
from app.stream.drive import PARK, AgentEndedError, Forward
from app.stream.epoch import Epoch
from app.stream.feeds import Feeds
from app.stream.order import Backlog, Run
from app.stream.poison import INFRASTRUCTURE, PoisonMarks, TooManyPoisonError
from app.stream.room import Room
from app.stream.state import GroupState
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
        self._again: deque[Run] = deque()  # to be done again after a poison record, before the backlog
        self._cut_off: list[Any] = []  # what the slice in hand leaves for the next one
        self._blocked_since: float | None = None
        self._feeds = Feeds(agents)
        self._slice_records = SLICE_FIRST
        self._held_since = 0.0
        self._hold_seconds = HOLD_SECONDS
        self._loop_task: asyncio.Task[None] | None = None

    def _cut(self) -> None:
        """End the slice after the record in hand: its list is shortened under the feed, which then parks."""
        offset = self.record.offset
        for feed, _ in self._feeds.get(self.topic or "", ()):
            index = next((i for i, record in enumerate(feed.slice) if record.offset == offset), len(feed.slice))
            self._cut_off += feed.slice[index + 1 :]
            del feed.slice[index + 1 :]

    # -- lifecycle, for assignment.py

    async def start(self) -> None:
        """Take records from now on. The agents run up to their first record here, so what they cannot do shows before it."""
        if self.stopped is not None:
            return
        self._forget_records()
        self.record = None
        token = current_task.set(self)
        try:
            await self._feeds.restart(self)
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
        for run in self.inflight.runs:
            self.room.metrics.consumed(run.topic, len(run.records))
        if self.marks:
            for topic, offset in self.inflight.next_offsets.items():
                self.marks.forget(topic, offset)
        super().end_commit()

    async def close(self) -> None:
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.wait([self._loop_task])
        self._feeds.shut()
        for store in self.stores:
            store.close()

    def feed(self, topic: str, records: Sequence[Any]) -> None:
        self.backlog.add(topic, records)
        self.wake.set()

    def _forget_records(self) -> None:
        self.backlog.clear()
        self._again = deque()
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

    def _next_runs(self) -> deque[Run]:
        """What to process next; nothing while a topic is waited for, which is at most ORDER_WAIT_SECONDS."""
        if self._again:
            runs, self._again = self._again, deque()
            return runs
        if not self.backlog:
            return deque()
        now = time.monotonic()
        patience = self._blocked_since is None or now - self._blocked_since < ORDER_WAIT_SECONDS
        runs = deque(self.backlog.take(TAKE_RECORDS, self._is_behind if patience else _never))
        if runs:
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = now
            asyncio.get_running_loop().call_later(ORDER_WAIT_SECONDS, self.wake.set)
        return runs

    def _is_behind(self, topic: str) -> bool:
        return self.room.is_behind(topic, self.partition)

    async def _process(self, runs: deque[Run]) -> None:
        """All of `runs`, unless the group is paused, stops, or meets a poison record; then the rest is left or queued again."""
        while runs:
            while self.active and self.room.is_full():
                self.room.kick(force=True)
                await self.room.progress()
                self._held_since = time.perf_counter()
            if not self.active:
                return
            error = await self._slice(runs)
            if error is not None:
                self._discard(error, runs)
                await self._feeds.restart(self)
                return
            if time.perf_counter() - self._held_since > self._hold_seconds:
                self.room.kick()
                await asyncio.sleep(0)
                self._held_since = time.perf_counter()

    async def _slice(self, runs: deque[Run]) -> Exception | None:
        """Take a slice of `runs` through the agents. A run whose record turns out to be poison is put back; its exception."""
        began, before = time.perf_counter(), self.current.records
        self.busy = True
        run = None
        try:
            while runs and self.current.records - before < self._slice_records:
                run = self._next_run(runs, self._slice_records - (self.current.records - before))
                await self._run_agents(run)
                if self._cut_off:
                    runs.appendleft(Run(run.topic, self._cut_off))  # their bytes are counted with the run they were cut from
                    self._cut_off = []
                    break
        except StopIteration:
            raise AgentEndedError(f"an agent of {self.topic} left its loop") from None
        except INFRASTRUCTURE:
            raise
        except Exception as error:
            if self.record is None or run is None or self.room.hooks.on_poison is None:
                raise
            runs.appendleft(run)
            return error
        finally:
            self.busy = False
            self.room.left_record()
        self.record = None
        self._adapt(time.perf_counter() - began, self.current.records - before)
        return None

    async def _run_agents(self, run: Run) -> None:
        topic, records, _ = run
        self.topic = topic
        poison = self.marks.get(topic, records[0].offset) if self.marks else None
        if poison is not None:
            await self._call_on_poison(topic, records[0], poison)
        else:
            for feed, agent in self._feeds[topic]:
                feed.slice = records
                signal = agent.send(None)
                if signal is not PARK:
                    await Forward(agent, signal)
        self.current.processed(run)

    def _next_run(self, runs: deque[Run], limit: int) -> Run:
        """The next run, at most `limit` records of it; a poisoned record is a run of its own."""
        run = runs.popleft()
        records = run.records
        # With several agents on a topic each record goes through all of them before the next one begins.
        size = limit if len(self._feeds[run.topic]) == 1 else 1
        if self.marks:
            poisoned = self.marks.next_offset(run.topic, records[0].offset, records[-1].offset)
            if poisoned is not None:
                size = min(size, max(1, sum(1 for record in records if record.offset < poisoned)))
        if len(records) <= size:
            return run
        first, rest = run.divided(size)
        runs.appendleft(rest)
        return first

    def _adapt(self, seconds: float, count: int) -> None:
        if seconds > self._hold_seconds and count > 1:
            self._slice_records = max(1, count // 2)
        elif seconds < self._hold_seconds / 2 and count == self._slice_records:
            self._slice_records = min(SLICE_MAX, count * 2)

    # -- poison

    def _discard(self, error: Exception, rest: Iterable[Run]) -> None:
        """Drop the current epoch and do its records again, with the failed one marked. Nothing of it has left this process."""
        record, epoch, topic = self.record, self.current, self.topic or ""
        log.error(
            "poison record %s-%d offset %d: %r; doing %d records again without it",
            topic, self.partition, record.offset, error, epoch.records, exc_info=error,
        )  # fmt: skip
        self.room.metrics.poison += 1
        self.room.metrics.discarded_records += epoch.records
        self.record = None
        self._cut_off = []
        self.current = Epoch(len(self.stores))
        try:
            self.marks.add(topic, record.offset, error)
        except TooManyPoisonError as limit:
            self._stop(str(limit))
            return
        self._again = deque([*epoch.runs, *rest])

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
        except INFRASTRUCTURE:
            raise
        except Exception as failure:
            raise InternalError(
                f"on_poison failed for {topic}-{self.partition} offset {record.offset}: {failure!r}",
                "Mend the hook: it must take any record",
            ) from failure


def _never(topic: str) -> bool:
    return False
