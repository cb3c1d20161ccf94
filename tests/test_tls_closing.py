"""A broker that does not say goodbye holds nobody up."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection

from app.stream.certificates import Authority
from app.tls_closing import CLOSE_SECONDS, bound_closing


@asynccontextmanager
async def mute_broker(folder: Path) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """Shakes hands and reads nothing from then on, so that it never sees a close_notify, nor answers it."""
    authority = Authority(folder)
    own = authority.issue("broker", "127.0.0.1")
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(own)
    open_ones: list[asyncio.StreamWriter] = []

    def taken(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        open_ones.append(writer)

    server = await asyncio.start_server(taken, "127.0.0.1", 0, ssl=server_side)
    try:
        yield server.sockets[0].getsockname()[1], ssl.create_default_context(cafile=authority.cafile)
    finally:
        for writer in open_ones:
            writer.transport.abort()
        server.close()


async def seconds_to_close(folder: Path, monkeypatch: pytest.MonkeyPatch, patience: float) -> float:
    async def nothing_asked(_: Any) -> None:
        """The mute one would not say which versions it has."""

    monkeypatch.setattr(AIOKafkaConnection, "_do_version_lookup", nothing_asked)
    async with mute_broker(folder) as (port, context):
        connection = AIOKafkaConnection("127.0.0.1", port, security_protocol="SSL", ssl_context=context)
        await connection.connect()
        began = time.monotonic()
        await asyncio.wait([connection.close()], timeout=patience)
        return time.monotonic() - began


async def test_a_connection_is_gone_within_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound_closing()
    bound_closing()  # once is enough
    assert await seconds_to_close(tmp_path, monkeypatch, patience=20) < CLOSE_SECONDS + 5


async def test_without_the_bound_it_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    bound_closing()
    monkeypatch.setattr(AIOKafkaConnection, "close", AIOKafkaConnection.close.__wrapped__)
    assert await seconds_to_close(tmp_path, monkeypatch, patience=CLOSE_SECONDS + 2) >= CLOSE_SECONDS + 1
