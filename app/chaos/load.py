"""The load: records at a steady rate, kept against the start, so that what a fault held up is made up for.

Owns one idempotent producer that is made anew when it is past mending, and what became of each record. Refuses to guess:
a record without an acknowledgement may be there or not, and is counted as unsure.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.chaos.journal import Entry, Input, JournalReader
from app.chaos.records import Records, Sent
from app.contract.topics import event_topic
from app.settings import Settings

MAX_REQUEST_BYTES = 4 << 20
LINGER_MS = 5
STEP_SECONDS = 0.01
# A second's worth of the highest rate that a drill is run at: more than that waiting for the broker holds up the load.
WAITING_MAX = 20_000


class Load:
    """Use as an async context manager.

    acknowledged, unsure: records; ends: by topic and partition, the offset after the last acknowledged one.
    """

    def __init__(self, settings: Settings, records: Records, journal: JournalReader | None = None) -> None:
        """journal: where the client reads what it acknowledges; without it nothing is acknowledged."""
        self.acknowledged = 0
        self.unsure = 0
        self.ends: Counter[tuple[str, int]] = Counter()
        self.records = records
        self._settings = settings
        self._stop = asyncio.Event()
        self._waiting = 0
        self._room = asyncio.Event()
        self._broken = False
        if journal is not None:
            journal.each(self._read)

    async def __aenter__(self) -> Self:
        self._producer = await self._new_producer()
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(KafkaError):  # of a broker that is away at the end
            await self._producer.stop()

    async def steady(self, rate: int) -> None:
        """Records at `rate` a second, until `end`; returns when each is acknowledged or given up."""
        began, count, records = time.monotonic(), 0, iter(self.records)
        while not self._stop.is_set():
            due = int((time.monotonic() - began) * rate) - count
            for _ in range(due):
                await self._post(next(records))
            count += max(0, due)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STEP_SECONDS):
                    await self._stop.wait()
        while self._waiting:
            await self._made_room()

    def end(self) -> None:
        self._stop.set()

    async def deliver(self, sent: Sent) -> Input:
        """One record, acknowledged: where it is."""
        topic = event_topic(sent.event_name)
        key = None if sent.key is None else sent.key.encode()
        done = await self._producer.send_and_wait(self._settings.topic(topic), key=key, value=sent.value)
        self._note(topic, done)
        return topic, done.partition, done.offset

    async def _post(self, sent: Sent) -> None:
        while self._waiting >= WAITING_MAX:
            await self._made_room()
        if self._broken:
            await self._mend()
        topic = event_topic(sent.event_name)
        key = None if sent.key is None else sent.key.encode()
        try:
            future = await self._producer.send(self._settings.topic(topic), key=key, value=sent.value)
        except KafkaError:
            self.unsure += 1
            self._broken = True
            return
        self._waiting += 1
        future.add_done_callback(self._settled(topic))

    def _settled(self, topic: str) -> Callable[["asyncio.Future[Any]"], None]:
        def settled(future: "asyncio.Future[Any]") -> None:
            self._waiting -= 1
            self._room.set()
            if future.cancelled() or future.exception() is not None:
                self.unsure += 1
                self._broken = True
            else:
                self._note(topic, future.result())

        return settled

    def _note(self, topic: str, done: Any) -> None:
        self.acknowledged += 1
        place = topic, done.partition
        self.ends[place] = max(self.ends[place], done.offset + 1)

    async def _made_room(self) -> None:
        self._room.clear()
        await self._room.wait()

    async def _mend(self) -> None:
        """An idempotent producer that gave up a batch may refuse all that follows."""
        old, self._producer = self._producer, await self._new_producer()
        self._broken = False
        with contextlib.suppress(KafkaError):
            await old.stop()

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._settings.kafka(),
            acks="all",
            enable_idempotence=True,
            max_request_size=MAX_REQUEST_BYTES,
            linger_ms=LINGER_MS,
        )
        await producer.start()
        return producer

    def _read(self, entry: Entry) -> None:
        self.records.shown(entry.body)
