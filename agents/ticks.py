"""Time as an input: the owner of a partition appends a tick to it each second, and timers fire by the tick's broker time."""

from typing import Any

import orjson

from agents.faces import Stream
from app.contract.journal import TICK_SCHEMA
from app.contract.topics import TICKS

TOPIC = TICKS
TICK_SECONDS = 1.0


async def ticks(stream: Stream) -> None:
    async for event in stream.events():
        stream.app.serving.serve(event.message)


async def append_ticks(app: Any, topic: Any) -> None:
    """One tick for each partition that this worker owns now. A tick that is lost is made up for by the next."""
    for partition in sorted(app.owned_partitions()):
        value = orjson.dumps({"schema": TICK_SCHEMA, "partition": partition})
        await topic.send(value=value, partition=partition)
