"""Sends the generated sessions at their pace, and waits at gates for the scenes of the run. Plans nothing."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import orjson
from aiokafka import AIOKafkaProducer

from app.contract.times import MILLISECOND_US, SECOND_US, format_us
from app.contract.topics import event_topic
from app.demo.pace import Pace
from app.demo.sessions import Planned
from app.settings import Settings

# Wider than any record of the plan, the oversized ones too.
MAX_REQUEST_BYTES = 2 << 20
LINGER_MS = 5


class Gate:
    """A place in the feed, by its share. The feeder says that it is reached; `open` lets it go on."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.reached = asyncio.Event()
        self._passable = asyncio.Event()

    def open(self) -> None:
        self._passable.set()

    async def pass_through(self) -> None:
        self.reached.set()
        await self._passable.wait()


class Feeder:
    """rejections: how many records must come back with each code."""

    def __init__(self, settings: Settings, plan: Sequence[Planned]) -> None:
        self._settings = settings
        self._plan = plan
        self._gates: dict[int, Gate] = {}
        self.sent = 0
        self.rejections = Counter(planned.rejection for planned in plan if planned.rejection is not None)

    @property
    def records(self) -> int:
        return sum(planned.copies for planned in self._plan)

    def gate(self, share: float) -> Gate:
        """The feed holds there until the gate is opened."""
        gate = Gate(int(share * len(self._plan)))
        self._gates[gate.at] = gate
        return gate

    async def run(self, pace: Pace) -> None:
        producer = AIOKafkaProducer(
            **self._settings.kafka(),
            enable_idempotence=True,
            acks="all",
            linger_ms=LINGER_MS,
            max_request_size=MAX_REQUEST_BYTES,
        )
        async with producer:
            for number, planned in enumerate(self._plan):
                if number in self._gates:
                    await self._gates[number].pass_through()
                await pace.turn(planned.copies)
                await self._send(producer, planned)
            await producer.flush()

    async def _send(self, producer: AIOKafkaProducer, planned: Planned) -> None:
        topic, value = self._settings.topic(event_topic(planned.event_name)), written(planned, time.time_ns() // 1_000)
        for _ in range(planned.copies):
            await producer.send(topic, key=planned.key, value=value)
            self.sent += 1


def written(planned: Planned, now_us: int) -> bytes:
    """The record's bytes when it is sent at `now_us`."""
    if planned.raw is not None:
        return planned.raw
    event = planned.event | {"ts": format_us(now_us + planned.ts_shift_seconds * SECOND_US)}
    if planned.late_ms:
        received_us = now_us - planned.late_ms * MILLISECOND_US
        event |= {"ts": format_us(received_us), "received_ts": format_us(received_us)}
    return orjson.dumps(event)
