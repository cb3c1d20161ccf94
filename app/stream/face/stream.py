"""What an agent loops over: values, events or items of its topic, one partition group at a time.

Owns: the loop over a slice, the event with its message. Refuses: operators that would break the group's order (unsupported.py).
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from app.stream.drive import park
from app.stream.face.unsupported import INSTEAD, refuse
from app.stream.feeds import Feed
from app.stream.task import PartitionTask


class Message(NamedTuple):
    """A consumed record. timestamp: ms since the epoch, the broker's for a LogAppendTime topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, topic: str, partition: int, record: Any) -> "Message":
        return cls(topic, partition, record.offset, record.timestamp, record.key, record.value, tuple(record.headers))


class Event:
    """A value with its message, as `stream.events()` yields it."""

    __slots__ = ("__weakref__", "app", "message", "value")

    def __init__(self, app: Any, value: Any, message: Message) -> None:
        self.app = app
        self.value = value
        self.message = message

    @property
    def key(self) -> bytes | None:
        return self.message.key

    @property
    def headers(self) -> dict[str, bytes]:
        return dict(self.message.headers)


class Stream(Feed):
    """One for each agent and partition group."""

    __slots__ = ("agent", "app", "decode", "topic")

    def __init__(self, task: PartitionTask, app: Any, topic: str, agent: str, decode: Callable[[bytes], Any]) -> None:
        super().__init__(task)
        self.app = app
        self.topic = topic
        self.agent = agent
        self.decode = decode

    async def __aiter__(self) -> AsyncIterator[Any]:
        task, decode = self.task, self.decode
        while True:
            for record in self.slice:
                task.record = record
                yield decode(record.value)
            self.slice = []
            await park

    async def events(self) -> AsyncIterator[Event]:
        task, decode, app, topic = self.task, self.decode, self.app, self.topic
        partition = task.partition
        while True:
            for record in self.slice:
                task.record = record
                message = Message(
                    topic, partition, record.offset, record.timestamp, record.key, record.value, tuple(record.headers)
                )
                yield Event(app, decode(record.value), message)
            self.slice = []
            await park

    async def items(self) -> AsyncIterator[tuple[bytes | None, Any]]:
        task, decode = self.task, self.decode
        while True:
            for record in self.slice:
                task.record = record
                yield record.key, decode(record.value)
            self.slice = []
            await park

    @property
    def current_event(self) -> Event | None:
        record = self.task.record
        if record is None:
            return None
        return Event(self.app, self.decode(record.value), Message.of(self.topic, self.task.partition, record))

    def __getattr__(self, name: str) -> Any:
        if name in INSTEAD:
            refuse(name, f"agent {self.agent}")
        raise AttributeError(f"the stream of agent {self.agent} has no attribute {name!r}")
