"""Time as an input: the owner of a partition appends a tick to it each second, and timers fire by the tick's broker time."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from agents.faces import Stream
from app.contract.journal import TICK_SCHEMA
from app.contract.topics import TICKS
from app.reach import missing_right
from app.stream import exits

TOPIC = TICKS
TICK_SECONDS = 1.0


async def ticks(stream: Stream) -> None:
    async for event in stream.events():
        stream.app.serving.serve(event.message)


class Clock:
    """Appends the ticks of the partitions that this worker owns. A tick that is lost is made up for by the next."""

    def __init__(self, app: Any, topic: Any) -> None:
        self._app = app
        self._topic = topic

    async def append(self, wanted: Callable[[int], bool] = lambda _: True) -> None:
        """One tick for each partition that this worker owns now and that is wanted."""
        for partition in sorted(self._app.owned_partitions()):
            if wanted(partition):
                value = orjson.dumps({"schema": TICK_SCHEMA, "partition": partition})
                (await self._topic.send(value=value, partition=partition)).add_done_callback(_check)


def _check(sent: asyncio.Future[Any]) -> None:
    """Without the right to append them time would stand still, and nothing else would tell."""
    error = None if sent.cancelled() else sent.exception()
    if error is not None and missing_right(error):
        exits.die("ticks cannot be appended", error)
