"""The journal's tail as a drill sees it: committed records only, with the moment at which this reader had them.

Owns one consumer and what the records since the last mark say about one policy. Refuses to judge; that is kill.py's.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.contract.times import parse_us
from app.contract.topics import JOURNAL
from app.drill.users import decision_of, is_treated
from app.errors import OperatorError
from app.settings import Settings

FETCH_MS = 500


class Seen(NamedTuple):
    """One journal record. reason: of the policy's decision, None without one.

    decided_us: the worker's clock; visible_us: this process's, when the committed record had been read.
    """

    partition: int
    offset: int
    governance_offset: int
    reason: str | None
    treated: bool
    decided_us: int
    visible_us: int


class JournalWatch:
    """Use as an async context manager. `records` are those since the last `mark`, in the order of each partition."""

    def __init__(self, settings: Settings, policy: str, partitions: int) -> None:
        self.records: list[Seen] = []
        self.partitions = list(range(partitions))
        self.other_failure: Callable[[], BaseException | None] = lambda: None  # of the load, say: waiting is then in vain
        self._policy = policy
        self._places = [TopicPartition(settings.topic(JOURNAL), partition) for partition in self.partitions]
        self._consumer = AIOKafkaConsumer(
            **settings.kafka(), isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="none"
        )
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._places)
        for place in self._places:
            self._consumer.seek(place, 0)  # before anything is awaited: aiokafka would look for a committed offset
        for place, end in (await self._consumer.end_offsets(self._places)).items():
            self._consumer.seek(place, end)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._reading is not None
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._consumer.stop()

    def mark(self) -> None:
        """From here on `records` begins anew."""
        self.records = []

    async def until(self, reached: Callable[[], bool], seconds: float, otherwise: str) -> None:
        """OperatorError that says `otherwise` when it was not reached within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while not reached():
                    for error in (self.other_failure(), self._failure()):
                        if error is not None:
                            raise error
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise OperatorError(
                f"{otherwise} within {seconds:g} s (decided: {self._reasons()})",
                "Start workers with `truelift worker` and see their log and /status",
            ) from None

    def _reasons(self) -> str:
        """What was decided instead, for the one who waits: fallbacks alone mean a worker that cannot keep up."""
        counted = Counter(seen.reason for seen in self.records if seen.reason is not None)
        return ", ".join(f"{reason} {count}" for reason, count in counted.most_common()) or "nothing"

    def _failure(self) -> BaseException | None:
        reading = self._reading
        return reading.exception() if reading is not None and reading.done() and not reading.cancelled() else None

    async def _read(self) -> None:
        try:
            while True:
                batches = await self._consumer.getmany(timeout_ms=FETCH_MS)
                visible_us = time.time_ns() // 1000
                for place, messages in batches.items():
                    for message in messages:
                        self.records.append(self._seen(place.partition, message.offset, message.value, visible_us))
                self._news.set()
        finally:
            self._news.set()

    def _seen(self, partition: int, offset: int, value: bytes, visible_us: int) -> Seen:
        journal = orjson.loads(value)
        decision = decision_of(journal, self._policy)
        return Seen(
            partition,
            offset,
            journal["governance_offset"],
            None if decision is None else decision["reason"],
            decision is not None and is_treated(decision),
            parse_us(journal["latency"]["decided_ts"]),
            visible_us,
        )
