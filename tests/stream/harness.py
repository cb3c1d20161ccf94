"""A partition task on real stores without Kafka: a room that records what the task asks for. A fake, not a mock."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from app.stream.config import Hooks, TopicSize
from app.stream.metrics import Metrics
from app.stream.poison import PoisonMarks
from app.stream.state import KeyPartitions
from app.stream.task import PartitionTask
from tables.store import Store

SIZE = TopicSize(partitions=4, max_record_bytes=10_000)
MAX_EPOCH_BYTES = 50_000


class Record(NamedTuple):
    offset: int
    value: bytes
    timestamp: int = 0
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class FakeRoom:
    """A worker that never commits by itself."""

    def __init__(self, hooks: Hooks, max_records: int = 1_000_000) -> None:
        self.now_ms = 1000
        self.metrics = Metrics()
        self.hooks = hooks
        self.sizes = {"out": SIZE, "counts-changelog": SIZE}
        self.key_partitions = {"out": KeyPartitions(SIZE.partitions)}
        self.max_records = max_records
        self.task: PartitionTask | None = None
        self.waiting = asyncio.Event()
        self.moved = asyncio.Event()
        self.kicks = 0

    def is_full(self) -> bool:
        return self.task is not None and self.task.current.records >= self.max_records

    def hold_seconds(self) -> float:
        return 0.004

    def kick(self, force: bool = False) -> None:
        self.kicks += 1

    async def progress(self) -> None:
        self.waiting.set()
        self.moved.clear()
        await self.moved.wait()

    def left_record(self) -> None:
        self.moved.set()

    def is_behind(self, topic: str, partition: int) -> bool:
        return False

    def wants_records(self) -> None:
        pass


def make_task(
    app: Any, folder: Path, hooks: Hooks | None = None, max_records: int = 1_000_000, marks: PoisonMarks | None = None
) -> tuple[PartitionTask, FakeRoom]:
    """A task for the agents of `app` (tables: counts) and its room."""
    room = FakeRoom(hooks or Hooks(), max_records)
    task = PartitionTask(
        room, 0, app.topology().agents, [Store(folder / "counts-0.db")], ["counts-changelog"],
        marks or PoisonMarks(3, 60), MAX_EPOCH_BYTES,
    )  # fmt: skip
    room.task = task
    return task, room


async def settled(task: PartitionTask) -> None:
    """The task has done all it was fed."""
    while task.backlog or task.processing or task._again:  # noqa: ASYNC110 -- the loop's turns are what is waited for
        await asyncio.sleep(0)


async def turns(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)
