"""The journal as a reader sees it: committed records of all partitions, from the first on, with the moment of their arrival."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Self

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.contract.times import SECOND_US, parse_us
from app.contract.topics import JOURNAL, TICKS
from app.settings import Settings

Input = tuple[str, int, int]  # topic, partition, offset: the contract's names


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


class Journal:
    """Use as an async context manager; `entries` grows while it is open."""

    def __init__(self, settings: Settings) -> None:
        self.entries: list[Entry] = []
        self.count: Counter[Input] = Counter()  # ticks aside: a tick has one record for each timer that it fires
        self.by_partition: defaultdict[int, list[Entry]] = defaultdict(list)
        self._settings = settings
        self._news = asyncio.Event()
        self._listeners: list[Callable[[Entry], None]] = []

    def each(self, listener: Callable[[Entry], None]) -> None:
        """`listener` gets every record from now on."""
        self._listeners.append(listener)

    def no_longer(self, listener: Callable[[Entry], None]) -> None:
        self._listeners.remove(listener)

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            **self._settings.kafka(), isolation_level="read_committed", enable_auto_commit=False, fetch_max_wait_ms=100
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
        """AssertionError that says what was waited for."""
        try:
            async with asyncio.timeout(seconds):
                while not reached():
                    if self._reading.done():
                        self._reading.result()
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{what} was not reached within {seconds:g} s; {len(self.entries)} journal records") from None

    async def until_has(self, inputs: Iterable[Input], seconds: float = 30) -> None:
        """Until every one of `inputs` has a record."""
        wanted = list(inputs)
        count = len(wanted)

        def reached() -> bool:
            while wanted and wanted[-1] in self.count:
                wanted.pop()
            return not wanted

        await self.until(reached, seconds, f"a journal record for each of {count} inputs")

    def of(self, source: Input) -> Entry:
        """The only record of that input."""
        found = [entry for entry in self.entries if entry.input == source]
        assert len(found) == 1, f"{source} has {len(found)} journal records"
        return found[0]

    async def _read(self) -> None:
        try:
            while True:
                batches = await self._consumer.getmany(timeout_ms=200)
                now = time.time()
                for place, messages in batches.items():
                    for message in messages:
                        self._take(Entry(place.partition, message.offset, now, orjson.loads(message.value)))
                self._news.set()
        finally:
            self._news.set()

    def _take(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.by_partition[entry.partition].append(entry)
        if entry.input[0] != TICKS:
            self.count[entry.input] += 1
        for listener in tuple(self._listeners):
            listener(entry)
