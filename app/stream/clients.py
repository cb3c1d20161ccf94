"""Waiting for a broker with a bound, so that a start without one ends in one line. Refuses to retry for ever."""

import asyncio
import time

from app.errors import OperatorError
from app.reach import why_not
from app.settings import Settings

RETRY_SECONDS = 0.05


async def wait_for_broker(settings: Settings) -> None:
    """Returns when a broker of the cluster answers with its metadata; OperatorError after `broker_wait_seconds`."""
    addresses = settings.bootstrap()
    deadline = time.monotonic() + settings.broker_wait_seconds
    await _until_listening(addresses, deadline)
    refusal = await why_not(settings.kafka(), seconds=max(1.0, deadline - time.monotonic()))
    if refusal is not None:
        raise refusal


async def _until_listening(addresses: str, deadline: float) -> None:
    """A plain connect first: aiokafka logs an error for each refused attempt."""
    while not any([await _listens(address) for address in addresses.split(",")]):
        if time.monotonic() > deadline:
            raise OperatorError(
                f"no broker at {addresses}", "Start it, correct TRUELIFT_BROKER, or use `truelift broker start`"
            )
        await asyncio.sleep(RETRY_SECONDS)


async def _listens(address: str) -> bool:
    host, _, port = address.strip().rpartition(":")
    if not (host and port.isdecimal()):
        raise OperatorError(f"TRUELIFT_BROKER has {address!r}, which is no address", "Write host:port")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), timeout=2)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
