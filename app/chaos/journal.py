"""The journal as a reader sees it while it grows: committed records of all partitions, with the moment of their arrival.

Owns one consumer and who is told of each record. Refuses to keep any: a run of minutes has more than memory should hold.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.contract.times import SECOND_US, parse_us
from app.contract.topics import JOURNAL
from app.errors import OperatorError
from app.settings import Settings

Input = tuple[str, int, int]  # topic, partition, offset: the contract's names

FETCH_MS = 200
FETCH_WAIT_MS = 100


class Entry(NamedTuple):
    partition: int
    offset: int
    arrived_at: float
    body: dict[str, Any]

    @property
    def decided_at(self) -> float:
        return parse_us(self.body["latency"]["decided_ts"]) / SECOND_US

    @property
    def input(self) -> Input:
        source = self.body["input"]
        return source["topic"], source["partition"], source["offset"]

    def reasons(self) -> list[str]:
        return [decision["reason"] for decision in self.body["decisions"]]

    def treats(self) -> bool:
        return any(
            decision["action"] is not None and decision["reason"] in ("assigned", "sticky", "non_experimental")
            for decision in self.body["decisions"]
        )


Listener = Callable[[Entry], None]


class JournalReader:
    """Use as an async context manager. `seen`: the records read so far."""

    def __init__(self, settings: Settings) -> None:
        self.seen = 0
        self._settings = settings
        self._news = asyncio.Event()
        self._listeners: list[Listener] = []

    def each(self, listener: Listener) -> None:
        """`listener` gets every record from now on."""
        self._listeners.append(listener)

    def no_longer(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            **self._settings.kafka(),
            isolation_level="read_committed",
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        await self._consumer.start()
        topic = self._settings.topic(JOURNAL)
        places = [TopicPartition(topic, partition) for partition in range(self._settings.partitions)]
        self._consumer.assign(places)
        for place in places:
            self._consumer.seek(place, 0)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._consumer.stop()

    async def until(self, reached: Callable[[], bool], seconds: float, what: str = "the condition") -> None:
        """OperatorError that says what was waited for. The condition is asked after each piece that was read."""
        try:
            async with asyncio.timeout(seconds):
                while not reached():
                    if self._reading.done():
                        self._reading.result()
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            late = f"{what} was not reached within {seconds:g} s; {self.seen} journal records"
            raise OperatorError(late, "See the workers' logs") from None

    async def _read(self) -> None:
        try:
            while True:
                batches = await self._consumer.getmany(timeout_ms=FETCH_MS)
                now = time.time()
                for place, messages in batches.items():
                    for message in messages:
                        self._take(Entry(place.partition, message.offset, now, orjson.loads(message.value)))
                self._news.set()
        finally:
            self._news.set()

    def _take(self, entry: Entry) -> None:
        self.seen += 1
        for listener in tuple(self._listeners):
            listener(entry)
