"""A server that speaks enough of Kafka's protocol to ask for a password, and does not know it."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
MECHANISM = b"SCRAM-SHA-512"


def _text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value


def _bytes(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value


def _answer(api: int, body: bytes) -> bytes:
    if api == API_VERSIONS:
        known = [(API_VERSIONS, 0, 0), (SASL_HANDSHAKE, 0, 1), (SASL_AUTHENTICATE, 0, 0)]
        return struct.pack(">hi", 0, len(known)) + b"".join(struct.pack(">hhh", *api) for api in known)
    if api == SASL_HANDSHAKE:
        return struct.pack(">hi", 0, 1) + _text(MECHANISM)
    token = body[4:]
    if b",r=" in token and b"p=" not in token:
        nonce = token.rpartition(b",r=")[2]
        said = b"r=" + nonce + b"0,s=" + base64.b64encode(b"salt") + b",i=4096"
    else:
        said = b"v=" + base64.b64encode(b"not the server's signature")
    return struct.pack(">hh", 0, -1) + _bytes(said)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.read(4):
            frame = await reader.readexactly(*struct.unpack(">i", head))
            api, _, correlation, client = struct.unpack(">hhih", frame[:10])
            writer.write(_bytes(struct.pack(">i", correlation) + _answer(api, frame[10 + max(0, client) :])))
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def impostor() -> AsyncIterator[str]:
    """host:port of one."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
