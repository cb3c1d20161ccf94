"""A TCP relay on the loopback interface that can cut what goes through it: by resets, or silently, as a lost route does."""

import asyncio
import contextlib
from typing import Literal, Self

Cut = Literal["reset", "hole"]
CHUNK_BYTES = 1 << 16


class Proxy:
    """Use as an async context manager; `target` may be set after the start, as a broker advertises this address."""

    def __init__(self) -> None:
        self.target: tuple[str, int] | None = None
        self.port = 0
        self._open = asyncio.Event()
        self._open.set()
        self._mode: Cut | None = None
        self._relays: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._end_relays()
        await asyncio.gather(*self._relays, return_exceptions=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self, mode: Cut) -> None:
        """reset: every connection ends at once, new ones too. hole: they stay, and nothing passes in either direction."""
        self._mode = mode
        self._open.clear()
        if mode == "reset":
            self._end_relays()

    def heal(self) -> None:
        """New connections pass. Those that a hole kept are ended: what it swallowed does not come back."""
        self._end_relays()
        self._mode = None
        self._open.set()

    def _end_relays(self) -> None:
        for relay in self._relays:
            relay.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        try:
            if self._mode == "reset" or self.target is None:
                return
            await self._open.wait()
            there_reader, there_writer = await asyncio.open_connection(*self.target)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pump(reader, there_writer))
                    both.create_task(self._pump(there_reader, writer))
            finally:
                there_writer.transport.abort()
        except (asyncio.CancelledError, ConnectionError, ExceptionGroup):
            return
        finally:
            self._relays.discard(task)
            with contextlib.suppress(ConnectionError):
                writer.transport.abort()  # a reset, not a polite end

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionError("the other side has ended")
