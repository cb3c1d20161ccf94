"""Senders as SDKs are: each event is sent until it is acknowledged, always under one id, however often the other side dies."""

import asyncio
import contextlib
import json
import uuid
from base64 import b64encode
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.edge.process import PUBLIC_KEY, envelope

RETRY_SECONDS = 0.05
ANSWER_SECONDS = 20.0
USERS = 50


class Senders:
    """`acknowledged`: the ids that got a 2xx. answers: by status; 0 is a connection that ended."""

    def __init__(self, port: int, connections: int = 8) -> None:
        self.acknowledged: set[str] = set()
        self.answers: Counter[int] = Counter()
        self._port = port
        self._connections = connections
        self._enough = asyncio.Event()

    async def run_while(self, story: Callable[[], Awaitable[object]]) -> None:
        """Sends until the story has ended and what is in hand is acknowledged."""
        sending = [asyncio.create_task(self._send()) for _ in range(self._connections)]
        try:
            await story()
        finally:
            self._enough.set()
        await asyncio.gather(*sending)

    async def until(self, acknowledged: int) -> None:
        """That many more."""
        wanted = len(self.acknowledged) + acknowledged
        while len(self.acknowledged) < wanted:  # noqa: ASYNC110 -- a story's steps; the senders have no event for each
            await asyncio.sleep(0.01)

    async def _send(self) -> None:
        while not self._enough.is_set():
            event_id = str(uuid.uuid4())
            event = envelope(event_id, f"u-{int(event_id[:4], 16) % USERS}")
            while await self._answer(json.dumps(event).encode()) != 200:  # noqa: ASYNC110 -- as an SDK backs off
                await asyncio.sleep(RETRY_SECONDS)
            self.acknowledged.add(event_id)

    async def _answer(self, body: bytes) -> int:
        """One connection for each: what a kill leaves of one is nobody's."""
        credentials = b64encode(f"{PUBLIC_KEY}:".encode()).decode()
        head = (
            f"POST /v1/events HTTP/1.1\r\nHost: edge\r\nAuthorization: Basic {credentials}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        status = 0
        with contextlib.suppress(OSError, TimeoutError, IndexError, ValueError):
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    writer.write(head.encode() + body)
                    status = int((await reader.read()).split(b" ", 2)[1])
                finally:
                    writer.close()
        self.answers[status] += 1
        return status
