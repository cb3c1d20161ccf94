"""Producers with old and with new metadata on the same users, at a steady rate, and what became of each record.

Owns two idempotent producers: one that has known the topics since before any change, one that looks at them several times a
second. Every user is written to by both.
"""

import asyncio
import random
import time
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaProducer

from app.chaos.journal import Entry, JournalReader
from app.chaos.records import Records, Sent, envelope
from app.contract.topics import event_topic
from app.settings import Settings

NEVER_MS, SOON_MS = 86_400_000, 250
LINGER_MS = 5
MAX_REQUEST_BYTES = 4 << 20
STEP_SECONDS = 0.01
IN_FLIGHT = 5_000


class ScalingLoad:
    """Use as an async context manager. acknowledged: records that the broker has taken."""

    def __init__(self, settings: Settings, users: int, seed: int) -> None:
        self.acknowledged = 0
        self._settings = settings
        self._users = users
        self._records = Records(seed, users)
        self._random = random.Random(seed)
        self._stop = asyncio.Event()
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._sending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._producers = [self._producer(metadata_max_age_ms=age) for age in (NEVER_MS, SOON_MS)]
        for producer in self._producers:
            await producer.start()
        # All topics are known to both before anything changes: the old one's knowledge is of now.
        for record in self._first_of_each_type():
            for producer in self._producers:
                await producer.send_and_wait(self._topic(record), record.value, key=b"u-0")
                self.acknowledged += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        for producer in self._producers:
            await producer.stop()

    def acknowledges(self, journal: JournalReader) -> None:
        """What the journal shows is rendered and acknowledged from now on."""
        journal.each(self._shown)

    async def everybody(self, rate: int) -> None:
        """A page view of each user: after it, each has rows."""
        await self._paced(rate, (self._page_view(f"u-{number}") for number in range(self._users)))

    async def steady(self, rate: int) -> None:
        """Records of every kind, until `end`."""
        await self._paced(rate, iter(self._records))

    def end(self) -> None:
        self._stop.set()

    async def _paced(self, rate: int, records: Any) -> None:
        began = time.monotonic()
        for count, record in enumerate(records, 1):
            if self._stop.is_set():
                break
            await self._room.acquire()
            task = asyncio.create_task(self._send(record))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            ahead = began + count / rate - time.monotonic()
            if ahead > STEP_SECONDS:
                await asyncio.sleep(ahead)
        await asyncio.gather(*self._sending)

    async def _send(self, record: Sent) -> None:
        producer = self._random.choice(self._producers)
        key = None if record.key is None else record.key.encode()
        try:
            await producer.send_and_wait(self._topic(record), record.value, key=key)
            self.acknowledged += 1
        finally:
            self._room.release()

    def _producer(self, **options: Any) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._settings.kafka(),
            **options,
            acks="all",
            enable_idempotence=True,
            linger_ms=LINGER_MS,
            max_request_size=MAX_REQUEST_BYTES,
        )

    def _topic(self, record: Sent) -> str:
        return self._settings.topic(event_topic(record.event_name))

    def _first_of_each_type(self) -> list[Sent]:
        # An acknowledgement that names nothing is refused, which is all that is wanted of it.
        names = ("page_view", "feature_used", "error_or_latency", "activation_milestone", "billing_intent", "flag_evaluation")
        nothing = {"key": "p", "variant": "A", "assignment_id": "none", "rule_version": 1}
        signals = [Sent(name, "u-0", orjson.dumps(envelope(name, "u-0"))) for name in names]
        shown = envelope("experiment_exposure", "u-0", experiment=nothing)
        return [*signals, Sent("experiment_exposure", "u-0", orjson.dumps(shown))]

    def _page_view(self, user: str) -> Sent:
        return Sent("page_view", user, orjson.dumps(envelope("page_view", user)))

    def _shown(self, entry: Entry) -> None:
        self._records.shown(entry.body)
