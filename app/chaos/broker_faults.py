"""Faults of brokers: killed, restarted, away until all goes on without them. One at a time: two would be an outage."""

import asyncio
import time
from collections.abc import Callable

from app.chaos.recovery import RECOVERY_SECONDS, goes_on
from app.chaos.site import Site
from app.stream.broker import EmbeddedBroker


async def kill(site: Site) -> float:
    return await _restart(site, EmbeddedBroker.kill)


async def restart(site: Site) -> float:
    return await _restart(site, EmbeddedBroker.stop)


async def lose(node: int, site: Site) -> float:
    """Its leaders and coordinators move, under whatever commit is on its way."""
    broker, began = site.cluster.brokers[node], time.time()
    await asyncio.to_thread(broker.kill)
    try:
        seconds = await goes_on(site, began)
    finally:
        await asyncio.to_thread(broker.start)
    await site.in_sync()
    return seconds


async def _restart(site: Site, end: Callable[[EmbeddedBroker], None]) -> float:
    broker, began = site.plan.chance.choice(list(site.cluster.brokers.values())), time.time()
    await asyncio.to_thread(end, broker)
    ended = time.time()
    _, arrived = await asyncio.gather(asyncio.to_thread(broker.start), site.progress.since(ended, RECOVERY_SECONDS))
    await site.in_sync()
    return arrived - began
