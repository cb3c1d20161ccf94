"""A bound for closing TLS connections to brokers.

aiokafka waits for the broker's close_notify as long as the event loop does, half a minute, and a busy broker may not send it at
all. Nobody is owed that wait (RFC 8446, section 6.1): what was sent has been answered before a client closes.

Owns that one change of aiokafka, made when the first TLS client is.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from aiokafka.conn import AIOKafkaConnection

CLOSE_SECONDS = 1.0

Close = Callable[..., Any]


def bound_closing() -> None:
    """Connections that are closed from now on are gone within CLOSE_SECONDS."""
    if not hasattr(AIOKafkaConnection.close, "__wrapped__"):
        AIOKafkaConnection.close = _bounded(AIOKafkaConnection.close)


def _bounded(close: Close) -> Close:
    @functools.wraps(close)
    def closed(connection: Any, *arguments: Any, **named: Any) -> Any:
        writer = connection._writer
        gone = close(connection, *arguments, **named)
        if writer is not None and not gone.done() and gone.get_loop().is_running():
            gone.get_loop().call_later(CLOSE_SECONDS, _abort, writer.transport, gone)
        return gone

    return closed


def _abort(transport: asyncio.WriteTransport, gone: asyncio.Future[None]) -> None:
    if not gone.done():
        transport.abort()
