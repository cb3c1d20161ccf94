"""Which failures are a record's fault, and how many of them a partition group may have.

Owns: the line between poison and infrastructure, the marks on poisoned records, the limit. Refuses: deciding what becomes of a
poisoned record; that is the app's `on_poison`.

Disk, store, memory and Kafka errors are nobody's record's fault: they end the process, and the record is read again. Were they
taken for poison, a full disk would dead-letter good data.
"""

import time
from collections import deque
from collections.abc import Callable

from aiokafka.errors import KafkaError

from app.errors import InternalError, OperatorError
from app.stream.drive import AgentEndedError
from app.stream.exits import FatalError

# OperatorError includes StoreError; OSError is every disk and network failure of the interpreter.
INFRASTRUCTURE = (KafkaError, OperatorError, InternalError, OSError, MemoryError, AgentEndedError, FatalError)


class RecordTooLargeError(ValueError):
    """An output or a row is larger than its topic takes: the fault of the record that led to it, found before the commit."""


class TooManyPoisonError(Exception):
    """The limit is passed: the code is wrong, not the data."""


class PoisonMarks:
    """Poisoned records of one partition group: {(topic, offset): the exception}."""

    def __init__(self, limit: int, window_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """More than `limit` records within `window_seconds` raise TooManyPoisonError."""
        self._limit = limit
        self._window_seconds = window_seconds
        self._clock = clock
        self._marks: dict[tuple[str, int], Exception] = {}
        self._times: deque[float] = deque()

    def __bool__(self) -> bool:
        return bool(self._marks)

    def add(self, topic: str, offset: int, error: Exception) -> None:
        now = self._clock()
        self._times.append(now)
        while self._times[0] < now - self._window_seconds:
            self._times.popleft()
        self._marks[topic, offset] = error
        if len(self._times) > self._limit:
            raise TooManyPoisonError(f"{len(self._times)} poison records within {self._window_seconds:g} s")

    def get(self, topic: str, offset: int) -> Exception | None:
        return self._marks.get((topic, offset))

    def next_offset(self, topic: str, first: int, last: int) -> int | None:
        """The lowest marked offset of `topic` within first..last."""
        return min((offset for marked, offset in self._marks if marked == topic and first <= offset <= last), default=None)

    def forget(self, topic: str, next_offset: int) -> None:
        """Offsets below `next_offset` are committed."""
        for mark in [mark for mark in self._marks if mark[0] == topic and mark[1] < next_offset]:
            del self._marks[mark]
