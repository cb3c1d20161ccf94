"""Parts of pages as server-sent events: rendered here, sent when they differ from what was sent last. Bounded."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson

from app.console.markup import Html
from app.console.shared import Visit

MOST_STREAMS = 100
# A part is not made more often than a person can read it.
EACH_SECONDS = 1.0
# Without news it is made again as well: the last quarter of an hour moves on.
BEAT_SECONDS = 5.0

Part = Callable[[Visit], Awaitable[Html]]


class Streams:
    """still: whether the person is logged in still, asked before each part."""

    def __init__(self) -> None:
        self.open = 0

    @property
    def is_full(self) -> bool:
        return self.open >= MOST_STREAMS

    async def events(self, visit: Visit, part: Part, still: Callable[[], bool]) -> AsyncIterator[bytes]:
        changes = visit.shared.changes
        self.open += 1
        try:
            sent = ""
            while still() and not changes.ended:
                count = changes.count
                made = await part(visit)
                if made != sent:
                    sent = made
                    yield b"data: %s\n\n" % orjson.dumps(str(made))
                else:
                    yield b": beat\n\n"
                await asyncio.sleep(EACH_SECONDS)
                await changes.after(count, BEAT_SECONDS)
            if not changes.ended:
                yield b"event: over\ndata: {}\n\n"
        finally:
            self.open -= 1
