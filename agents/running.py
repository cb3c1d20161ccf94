"""One worker from its first connection to its drain: what `truelift worker` does once everything is imported."""

import asyncio
import gc
from typing import Any

import uvloop

from agents.application import build
from agents.renewal import Renewal
from app.settings import Settings
from app.stream.clients import wait_for_broker
from app.stream.face.run import serve
from app.stream.ports import require_free

# A worker makes some hundred short-lived objects a record and keeps almost none: a rare collection costs less than many.
GC_THRESHOLDS = (100_000, 50, 100)


def run(settings: Settings, **changes: Any) -> Renewal:
    """Returns after a clean drain. changes: to the engine room's settings (app/stream/config.py)."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings, changes))


async def _run(settings: Settings, changes: dict[str, Any]) -> Renewal:
    if settings.web_port:
        require_free(settings.web_port, "TRUELIFT_WEB_PORT=N, 0 for none", settings.web_bind)
    await wait_for_broker(settings)
    app = await build(settings, **changes)
    renewal = Renewal(app)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    await serve(app)
    return renewal
