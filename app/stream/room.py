"""What a partition task needs of the worker around it: the seam that lets a test run a task without Kafka."""

from typing import Protocol

from app.stream.config import Hooks, TopicSize
from app.stream.metrics import Metrics
from app.stream.state import KeyPartitions


class Room(Protocol):
    """sizes, key_partitions: of every topic that may be written. now_ms: the clock at the last fetch, for outputs."""

    now_ms: int
    metrics: Metrics
    sizes: dict[str, TopicSize]
    key_partitions: dict[str, KeyPartitions]
    hooks: Hooks

    def is_full(self) -> bool:
        """Whether the epochs being filled hold as much as the worker may hold back."""

    def hold_seconds(self) -> float:
        """How long this group may hold the event loop."""

    def kick(self, force: bool = False) -> None:
        """Begin a commit if one is due."""

    async def progress(self) -> None:
        """Return after the next commit has ended, or a group has left a record."""

    def left_record(self) -> None:
        """Tell who waits for that."""

    def is_behind(self, topic: str, partition: int) -> bool:
        """Whether the broker has records that were not fetched yet."""

    def wants_records(self) -> None:
        """There is room for more records."""
