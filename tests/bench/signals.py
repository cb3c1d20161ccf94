"""The load: full page-view envelopes, keyed and partitioned as producers do."""

import asyncio
import math
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Self

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from app.settings import Settings

TOPIC = "events.page_view"


def envelope(user: str) -> bytes:
    """A signal of now."""
    return orjson.dumps(
        {
            "event_name": "page_view",
            "event_id": str(uuid.uuid4()),
            "user_id": user,
            "session_id": f"s-{user}",
            "ts": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "properties": {"title": "Onboarding"},
            "context": {"route": "/app/onboarding", "device": "web", "locale": "en-US"},
            "org": "acme",
            "pricing_model": "Fixed weekly rate",
        }
    )


def signals(count: int, users: int) -> Iterator[tuple[str, bytes]]:
    for number in range(count):
        user = f"u-{number % users}"
        yield user, envelope(user)


def partition_of(key: str, partitions: int) -> int:
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


async def preload(settings: Settings, count: int, users: int) -> None:
    """`count` signals of `users` users, in batches for each partition."""
    producer = AIOKafkaProducer(**settings.kafka(), linger_ms=20, max_batch_size=500_000)
    await producer.start()
    cache: dict[str, int] = {}
    try:
        for user, value in signals(count, users):
            if user not in cache:
                cache[user] = partition_of(user, settings.partitions)
            await producer.send(settings.topic(TOPIC), key=user.encode(), value=value, partition=cache[user])
        await producer.flush()
    finally:
        await producer.stop()


async def send_paced(settings: Settings, rate: int, seconds: float, users: int) -> int:
    """Signals at an even `rate` a second, in batches of 5 ms as an edge sends them; returns how many were sent."""
    producer = AIOKafkaProducer(**settings.kafka(), linger_ms=5)
    await producer.start()
    sent, began = 0, time.monotonic()
    try:
        while (elapsed := time.monotonic() - began) < seconds:
            while sent < elapsed * rate:
                user = f"u-{sent % users}"
                partition = partition_of(user, settings.partitions)
                await producer.send(settings.topic(TOPIC), key=user.encode(), value=envelope(user), partition=partition)
                sent += 1
            await asyncio.sleep(0.001)
        await producer.flush()
    finally:
        await producer.stop()
    return sent


class Load:
    """The same without an end: an async context manager that sends while it is open."""

    def __init__(self, settings: Settings, rate: int, users: int) -> None:
        self._rate = rate
        self._settings = settings
        self._users = users

    async def __aenter__(self) -> Self:
        self._sending = asyncio.create_task(send_paced(self._settings, self._rate, math.inf, self._users))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)
