"""Time as an input: the owner of a partition appends a tick to it each second, and timers fire by the tick's broker time."""

from typing import Any

import orjson

from agents.faces import Stream
from app.contract.journal import TICK_SCHEMA
from app.contract.topics import TICKS

TOPIC = TICKS
TICK_SECONDS = 1.0
# While partitions scale, ticks give up the units that move: a small number each time is a short pause for each of them.
LEAST_SECONDS = 0.2


async def ticks(stream: Stream) -> None:
    async for event in stream.events():
        stream.app.serving.serve(event.message)


class Clock:
    """Appends the ticks of the partitions that this worker owns. A tick that is lost is made up for by the next."""

    def __init__(self, app: Any, topic: Any) -> None:
        self._app = app
        self._topic = topic
        self._calls = 0

    async def append(self) -> None:
        """To be called each LEAST_SECONDS."""
        self._app.growth.look()
        is_second = self._calls % round(TICK_SECONDS / LEAST_SECONDS) == 0
        self._calls += 1
        for partition in sorted(self._app.owned_partitions()):
            if is_second or self._app.growth.gives_up(partition):
                value = orjson.dumps({"schema": TICK_SCHEMA, "partition": partition})
                await self._topic.send(value=value, partition=partition)
