"""A request's body: read within bounds of size and time, unpacked within the same bound, parsed as JSON.

Gzip is told by its first bytes, not by headers: RudderStack's Node SDK sends it labelled as a form, others label plain JSON as
gzip.
Refuses what is larger, slower or deeper than allowed before it costs more than the bound.
"""

import asyncio
import zlib
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from app.edge.refusal import RefusalError

GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS
# orjson reads 1,024 levels and writes 254. What holds for an event alone is asked of each (app/contract/envelope).
WRITABLE_DEPTH = 254


async def read_body(request: Request, limit_bytes: int, seconds: float) -> bytes:
    """As the sender meant it: unpacked. Raises RefusalError."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    received = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                received += chunk
                if len(received) > limit_bytes:
                    raise _too_large(limit_bytes)
    except TimeoutError:
        raise RefusalError("slow", f"the body did not arrive within {seconds:g} s; send it without pauses") from None
    except ClientDisconnect:
        raise RefusalError("malformed", "the connection ended inside of the body; send it again") from None
    body = bytes(received)
    return unpacked(body, limit_bytes) if body.startswith(GZIP_MAGIC) else body


def unpacked(body: bytes, limit_bytes: int) -> bytes:
    """One gzip member. A bomb costs the bound and no more."""
    unpacking = zlib.decompressobj(_GZIP)
    try:
        plain = unpacking.decompress(body, limit_bytes + 1)
    except zlib.error:
        raise RefusalError("malformed", "the body begins as gzip and is none; send JSON, or the whole gzip of it") from None
    if len(plain) > limit_bytes:
        raise _too_large(limit_bytes)
    if not unpacking.eof or unpacking.unused_data:
        raise RefusalError("malformed", "the gzip body is cut short or has something behind its end; send it whole")
    return plain


def parsed(body: bytes) -> Any:
    """The JSON in `body`, not nested deeper than can be written again."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # Of the error its place alone: what stands there is the sender's.
        raise RefusalError("malformed", f"the body is not JSON at character {error.pos}; send UTF-8 JSON") from None
    if body.count(b"[") + body.count(b"{") > WRITABLE_DEPTH:
        try:
            orjson.dumps(value)
        except orjson.JSONEncodeError:
            raise RefusalError("too_deep", f"the body nests deeper than {WRITABLE_DEPTH} levels; flatten it") from None
    return value


def _too_large(limit_bytes: int) -> RefusalError:
    return RefusalError("too_large", f"the body has more than {limit_bytes} bytes; send fewer events at once")
