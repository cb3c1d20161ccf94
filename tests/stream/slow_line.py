"""A TCP relay on the loopback interface that lets so many bytes a second through, as a narrow or crowded line does."""

import asyncio
from typing import Self

CHUNK_BYTES = 4096


class SlowLine:
    """Use as an async context manager. up: to the broker, down: from it; bytes a second of each connection, None: no limit."""

    def __init__(self, port: int, target: str, *, up: float | None = None, down: float | None = None) -> None:
        self.up = up
        self.down = down
        self._port = port
        self._target = target
        self._relays: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays)

    def heal(self) -> None:
        self.up = self.down = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        host, _, port = self._target.rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, there_writer, "up"))
                both.create_task(self._pump(there_reader, writer, "down"))
        except (asyncio.CancelledError, ExceptionGroup):
            return  # ended from either side, or with the line
        finally:
            self._relays.discard(task)
            writer.transport.abort()
            there_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
            if (limit := getattr(self, way)) is not None:
                await asyncio.sleep(len(data) / limit)
        raise ConnectionError("the other side has ended")
