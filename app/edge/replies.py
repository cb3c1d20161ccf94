"""What an edge hears of its own requests: copies of committed journal records, on one partition of the topic `replies`.

An edge takes a partition by chance and reads it from the end, without a group and without offsets. Nobody owns a partition:
several edges may read one, each by the random ids of its own requests, which nobody else can know. So nothing needs to be
claimed, renewed or given back: any number of edges works with any number of partitions, and one that died holds nothing that
another would have to wait for. The price is that edges on one partition hear each other's replies and drop them unread.

Best effort: what is not heard in time is answered with the fallback. Refuses what was not asked for, and what answers something
else than what was asked.
"""

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from app.contract.replies import REQUEST_ID_BYTES, ReplyTo
from app.contract.topics import REPLIES
from app.edge.refusal import RefusalError
from app.errors import OperatorError
from app.settings import Settings
from app.stream.clients import wait_for_broker
from app.stream.reading import partitions_of

log = logging.getLogger(__name__)

# Requests that wait at the same time.
EXPECTED_MAX = 10_000
RETRY_SECONDS = 1.0
FETCH_MS = 1_000
# A record of one of these says that another partition group answers: its own reply follows.
PASSED_ON = frozenset({"forwarded", "linked"})

UNREACHABLE = (KafkaError, OSError, TimeoutError, OperatorError)


class Expected:
    """One request's reply. `reply_to` None: nothing is heard at the moment."""

    def __init__(self, unit: str, event_id: str, partition: int | None) -> None:
        self.request_id = secrets.token_bytes(REQUEST_ID_BYTES)
        self.reply_to = None if partition is None else ReplyTo(partition, self.request_id)
        self._unit = unit
        self._event_id = event_id
        self._found: asyncio.Future[tuple[Mapping[str, Any], int]] = asyncio.get_running_loop().create_future()

    async def record(self) -> tuple[Mapping[str, Any], int]:
        """(the journal record, when it was seen, in microseconds)."""
        return await self._found

    def take(self, value: bytes) -> str:
        """What became of it, as a word that is counted."""
        try:
            record = orjson.loads(value)
            source, unit, status = record["input"], record["unit"], record["status"]
            # A record that was passed on may be decided for the unit that its sender has become.
            if source["event_id"] != self._event_id or (unit != self._unit and "origin" not in record):
                return "foreign"
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return "malformed"
        if status in PASSED_ON:
            return "passed_on"
        if self._found.done():
            return "repeated"
        self._found.set_result((record, time.time_ns() // 1_000))
        return "heard"


class Replies:
    """counts: replies by what became of them."""

    def __init__(self, settings: Settings) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._expected: dict[bytes, Expected] = {}
        self._partition: int | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on it listens, as soon as Kafka answers."""
        self._task = asyncio.create_task(self._listen(), name="replies")
        self._task.add_done_callback(say_if_failed)

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    @property
    def is_heard(self) -> bool:
        return self._partition is not None

    @contextlib.contextmanager
    def expected(self, unit: str, event_id: str) -> Iterator[Expected]:
        """While it is open a reply is taken. RefusalError when too many are waited for."""
        if len(self._expected) >= EXPECTED_MAX:
            raise RefusalError("overloaded", f"{EXPECTED_MAX} requests wait for decisions already; ask again")
        waiting = Expected(unit, event_id, self._partition)
        self._expected[waiting.request_id] = waiting
        try:
            yield waiting
        finally:
            del self._expected[waiting.request_id]

    async def _listen(self) -> None:
        said = ""
        while True:
            try:
                await self._listen_once()
            except UNREACHABLE as error:
                if said != (said := f"{type(error).__name__}: {error}"):
                    log.warning("replies are not heard: %s", said)
            finally:
                self._partition = None
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen_once(self) -> None:
        await wait_for_broker(self._settings)
        topic = self._settings.topic(REPLIES)
        consumer = AIOKafkaConsumer(**self._settings.kafka(), enable_auto_commit=False, auto_offset_reset="latest")
        await consumer.start()
        try:
            place = random.choice(await partitions_of(self._settings, [topic]))
            consumer.assign([place])
            # The end is fixed before the first request goes out, else its reply could lie in front of it.
            await consumer.seek_to_end(place)
            await consumer.position(place)
            self._partition = place.partition
            while True:
                for batch in (await consumer.getmany(timeout_ms=FETCH_MS)).values():
                    for reply in batch:
                        self._hear(reply.key, reply.value)
        finally:
            await consumer.stop()

    def _hear(self, key: bytes | None, value: bytes | None) -> None:
        waiting = self._expected.get(key or b"")
        self.counts["not_asked_for" if waiting is None else waiting.take(value or b"")] += 1


def say_if_failed(task: "asyncio.Task[None]") -> None:
    """Of what an edge does beside taking events: without it, it goes on and serves fallbacks."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("the task %s has ended", task.get_name(), exc_info=task.exception())
