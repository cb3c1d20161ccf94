"""Candidates onto their topics: accepted ones by the unit's key, rejected ones as dead letters, at a given rate.

An idempotent producer: a retry inside one run repeats nothing. A second run of the same input is harmless where event ids
are the same: workers journal such a signal as a duplicate within the catalogue's window, and the warehouse without one.
"""

import asyncio
import time
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.contract.envelope import Rejection, Signal, parse_signal
from app.contract.journal import DEADLETTER_SCHEMA
from app.contract.times import format_us
from app.contract.topics import DEADLETTER, EVENT_PREFIX, deadletter_bytes_of, event_name_of, event_topic
from app.errors import OperatorError
from app.ingest.candidate import MAX_LINE_BYTES, Candidate
from app.settings import Settings
from app.stream.clients import wait_for_broker

# Sent and not yet acknowledged; more only takes memory, the broker is the bound.
MAX_IN_FLIGHT = 10_000
LINGER_MS = 5
BATCH_BYTES = 256 * 1024
# Closer than this to its moment a record is sent at once: a hundred wake-ups a second are pace enough.
PACE_SECONDS = 0.01

OnRejected = Callable[[int, Rejection], None]


@dataclass
class Counts:
    """Of one run. accepted and rejected are events: a CSV row may make several."""

    lines: int = 0
    accepted: int = 0
    rejected: int = 0


async def ingest(
    settings: Settings,
    source: AsyncIterable[Candidate],
    name: str,
    *,
    rate: float | None = None,
    retime: bool = False,
    counts: Counts | None = None,
    on_rejected: OnRejected = lambda line, rejection: None,
) -> Counts:
    """Sends all of `source`; `name` is what dead letters call it. `counts` is kept up to date while it runs.

    rate: events a second at most. retime: ts becomes the moment of sending, the original properties.occurred_at.
    """
    counts = Counts() if counts is None else counts
    topics = await _event_topics(settings)
    producer = AIOKafkaProducer(
        **settings.kafka(),
        enable_idempotence=True,
        acks="all",
        linger_ms=LINGER_MS,
        max_batch_size=BATCH_BYTES,
        max_request_size=deadletter_bytes_of(MAX_LINE_BYTES) + BATCH_BYTES,
    )
    await producer.start()
    try:
        sender = _Sender(settings, producer, topics, name, counts, on_rejected)
        await sender.run(source, rate, retime)
    except KafkaError as error:
        raise OperatorError(
            f"the broker refused a record near line {counts.lines} of {name}: {type(error).__name__} {error}",
            "Mend the broker and ingest the file again: events that came through have the same event ids and count once",
        ) from error
    finally:
        await producer.stop()
    return counts


async def _event_topics(settings: Settings) -> frozenset[str]:
    """The event names that have a topic. Asked once: a producer would wait 40 s for one that is not there."""
    await wait_for_broker(settings)
    async with AIOKafkaConsumer(**settings.kafka()) as consumer:
        topics = {settings.topic_base(topic) for topic in await consumer.topics() if topic.startswith(settings.topic_prefix)}
    if DEADLETTER not in topics:
        raise OperatorError(f"missing topic {settings.topic(DEADLETTER)}", "Create all with `truelift topics init`")
    return frozenset(event_name_of(topic) for topic in topics if topic.startswith(EVENT_PREFIX))


class _Sender:
    def __init__(
        self,
        settings: Settings,
        producer: AIOKafkaProducer,
        event_names: frozenset[str],
        name: str,
        counts: Counts,
        on_rejected: OnRejected,
    ) -> None:
        self._settings = settings
        self._producer = producer
        self._event_names = event_names
        self._name = name
        self._counts = counts
        self._on_rejected = on_rejected
        self._in_flight: deque[asyncio.Future[Any]] = deque()

    async def run(self, source: AsyncIterable[Candidate], rate: float | None, retime: bool) -> None:
        started = time.monotonic()
        sent = 0
        async for candidate in source:
            if rate is not None:
                ahead = started + sent / rate - time.monotonic()
                if ahead > PACE_SECONDS:
                    await asyncio.sleep(ahead)
            self._counts.lines = candidate.line
            signal = self._validated(candidate)
            if isinstance(signal, Rejection):
                await self._send_deadletter(candidate, signal)
            else:
                await self._send_signal(candidate, signal, retime)
            sent += 1
        while self._in_flight:
            await self._in_flight.popleft()

    def _validated(self, candidate: Candidate) -> Signal | Rejection:
        signal = candidate.envelope if isinstance(candidate.envelope, Rejection) else parse_signal(candidate.envelope)
        if isinstance(signal, Signal) and signal.event_name not in self._event_names:
            known = ", ".join(sorted(self._event_names))
            return Rejection(
                "unknown_event_type",
                f"event_name {signal.event_name!r} has no topic; those with one are {known}; "
                f"add the type to the catalogue, then `truelift topics init --event-type {signal.event_name}`",
                signal.event_id,
                signal.unit,
            )
        return signal

    async def _send_signal(self, candidate: Candidate, signal: Signal, retime: bool) -> None:
        value = orjson.dumps(_retimed(signal.event)) if retime else candidate.envelope
        topic = self._settings.topic(event_topic(signal.event_name))
        await self._send(topic, signal.unit.encode(), value)
        self._counts.accepted += 1

    async def _send_deadletter(self, candidate: Candidate, rejection: Rejection) -> None:
        letter = {
            "schema": DEADLETTER_SCHEMA,
            "source": {"topic": f"ingest:{self._name}", "partition": 0, "offset": candidate.line},
            "reason": rejection.code,
            "message": rejection.message,
            "original_base64": b64encode(candidate.original).decode(),
            "ts": _now(),
        }
        key = None if rejection.unit is None else rejection.unit.encode()
        await self._send(self._settings.topic(DEADLETTER), key, orjson.dumps(letter))
        self._counts.rejected += 1
        self._on_rejected(candidate.line, rejection)

    async def _send(self, topic: str, key: bytes | None, value: object) -> None:
        self._in_flight.append(await self._producer.send(topic, key=key, value=value))
        while len(self._in_flight) > MAX_IN_FLIGHT or (self._in_flight and self._in_flight[0].done()):
            await self._in_flight.popleft()


def _retimed(event: dict[str, Any]) -> dict[str, Any]:
    """The event as of now. An earlier arrival at an edge was part of the original, so it moves to the properties as well."""
    moved = {"occurred_at": event["ts"]}
    if event.get("received_ts") is not None:
        moved["occurred_received_at"] = event["received_ts"]
    return event | {"ts": _now(), "received_ts": None, "properties": (event.get("properties") or {}) | moved}


def _now() -> str:
    return format_us(time.time_ns() // 1_000)
