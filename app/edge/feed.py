"""The journal as those hear it who listen to one unit: committed records of that unit, from now on.

One consumer for all streams of this edge, of every partition of `decisions` (a unit may move while partitions grow), and only
while there is a stream; of other units the key alone is looked at. Refuses history: what was committed before a stream was open
is asked for by POST /v1/decide. A listener that does not keep up is closed, since a gap must show.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from app.contract.topics import JOURNAL
from app.edge.refusal import RefusalError
from app.edge.replies import say_if_failed
from app.errors import OperatorError
from app.settings import Settings
from app.stream.clients import wait_for_broker
from app.stream.reading import partitions_of

log = logging.getLogger(__name__)

STREAMS_MAX = 500
STREAMS_OF_A_UNIT_MAX = 8
# Committed and not yet taken by one listener.
WAITING_MAX = 100
FETCH_MS = 1_000
RETRY_SECONDS = 1.0

UNREACHABLE = (KafkaError, OSError, TimeoutError, OperatorError)


class Listener:
    """`records` ends when the feed does, or when more waits than may."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(WAITING_MAX + 1)
        self._ended = False

    def give(self, record: dict[str, Any]) -> None:
        if self._waiting.qsize() >= WAITING_MAX:
            self.end()
        elif not self._ended:
            self._waiting.put_nowait(record)

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._waiting.put_nowait(None)

    async def records(self, pause_seconds: float) -> AsyncIterator[dict[str, Any] | None]:
        """None: so long there was nothing."""
        while True:
            try:
                record = await asyncio.wait_for(self._waiting.get(), pause_seconds)
            except TimeoutError:
                yield None
                continue
            if record is None:
                return
            yield record


class Feed:
    """`start` before `listener`; `close` ends all of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._listeners: dict[bytes, list[Listener]] = {}
        self._wanted = asyncio.Event()
        self._live = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    @property
    def streams(self) -> int:
        return sum(map(len, self._listeners.values()))

    def start(self) -> None:
        self._task = asyncio.create_task(self._follow(), name="feed")
        self._task.add_done_callback(say_if_failed)

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    def close(self) -> None:
        self._closed = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.end()

    @contextlib.contextmanager
    def listener(self, unit: str) -> Iterator[Listener]:
        """RefusalError when there are as many as may be."""
        key, of_unit = unit.encode(), self._listeners.get(unit.encode(), [])
        if self._closed:
            raise RefusalError("stopping", "this edge is about to end; listen again")
        if self.streams >= STREAMS_MAX or len(of_unit) >= STREAMS_OF_A_UNIT_MAX:
            raise RefusalError("overloaded", f"{STREAMS_MAX} streams are open, or {STREAMS_OF_A_UNIT_MAX} of this user")
        listener = Listener()
        self._listeners[key] = [*of_unit, listener]
        self._wanted.set()
        try:
            yield listener
        finally:
            left = [other for other in self._listeners[key] if other is not listener]
            if left:
                self._listeners[key] = left
            else:
                del self._listeners[key]

    async def live(self) -> None:
        """Returns when what is committed from now on will be heard."""
        await self._live.wait()

    async def _follow(self) -> None:
        said = ""
        while True:
            await self._wanted.wait()
            try:
                await self._follow_while_wanted()
            except UNREACHABLE as error:
                if said != (said := f"{type(error).__name__}: {error}"):
                    log.warning("the journal is not followed: %s", said)
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                self._live.clear()

    async def _follow_while_wanted(self) -> None:
        await wait_for_broker(self._settings)
        topic = self._settings.topic(JOURNAL)
        places = await partitions_of(self._settings, [topic])
        consumer = AIOKafkaConsumer(
            **self._settings.kafka(), isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="latest"
        )
        await consumer.start()
        try:
            consumer.assign(places)
            await consumer.seek_to_end(*places)
            for place in places:
                await consumer.position(place)
            self._live.set()
            while self._listeners and len(consumer.partitions_for_topic(topic) or places) == len(places):
                for batch in (await consumer.getmany(timeout_ms=FETCH_MS)).values():
                    for record in batch:
                        self._give(record.key, record.value)
            if not self._listeners:
                self._wanted.clear()
        finally:
            await consumer.stop()

    def _give(self, key: bytes | None, value: bytes | None) -> None:
        listeners = self._listeners.get(key or b"")
        if listeners and value is not None:
            record = orjson.loads(value)
            for listener in listeners:
                listener.give(record)
