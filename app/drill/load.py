"""The load of a drill: signals at a steady rate, the partitions in turn, until it is cancelled."""

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaProducer

from app.contract.topics import event_topic
from app.drill.users import signal_of
from app.settings import Settings

# Signals of one step of the pace; at 500/s a step each 4 ms.
STEP_SIGNALS = 2


class Load:
    """Use as an async context manager: the load runs inside. `sent` counts the acknowledged signals."""

    def __init__(
        self, settings: Settings, event_name: str, template: Mapping[str, Any], users: Sequence[Sequence[str]], rate: int
    ) -> None:
        """users: by partition. rate: signals a second over all of them."""
        self.sent = 0
        self._settings = settings
        self._event_name = event_name
        self._template = template
        self._units = itertools.cycle([unit for turn in zip(*users, strict=True) for unit in turn])
        self._rate = rate
        self._producer: AIOKafkaProducer | None = None
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(**self._settings.kafka(), acks="all", enable_idempotence=True)
        await self._producer.start()
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._running is not None
        assert self._producer is not None
        self._running.cancel()
        results = await asyncio.gather(self._running, return_exceptions=True)
        await self._producer.stop()
        failure = results[0]
        if kind is None and isinstance(failure, Exception):
            raise failure

    def failure(self) -> BaseException | None:
        """The error that ended the load, if any."""
        running = self._running
        return running.exception() if running is not None and running.done() and not running.cancelled() else None

    async def _run(self) -> None:
        assert self._producer is not None
        topic = self._settings.topic(event_topic(self._event_name))
        began = time.monotonic()
        for step in itertools.count(1):
            for unit in itertools.islice(self._units, STEP_SIGNALS):
                value = orjson.dumps(signal_of(self._template, self._event_name, unit, time.time_ns() // 1000))
                future = await self._producer.send(topic, key=unit.encode(), value=value)
                future.add_done_callback(self._acknowledged)
            # The pace is kept against the start, so that a late step is made up for.
            await asyncio.sleep(max(0.0, began + step * STEP_SIGNALS / self._rate - time.monotonic()))

    def _acknowledged(self, future: "asyncio.Future[Any]") -> None:
        self.sent += not future.cancelled() and future.exception() is None
