"""`truelift worker`: one worker process, until SIGTERM."""

import asyncio
import gc
import logging
from typing import Any

import typer

from app.settings import Settings

# A worker makes some hundred short-lived objects a record and keeps almost none: a rare collection costs less than many.
GC_THRESHOLDS = (100_000, 50, 100)
OWN_PACKAGES = ("app", "agents", "tables")


def worker(log_level: str = typer.Option("info", help="debug, info, warning or error")) -> None:
    """Consume, decide and journal the partitions that the group gives to this worker. SIGTERM drains and ends it."""
    run_worker(Settings(), log_level)


def run_worker(settings: Settings, log_level: str = "info", **changes: Any) -> None:
    """Returns after a clean drain. changes: to the engine room's settings (app/stream/config.py)."""
    # What is imported stays: a collector that walks it again and again takes a tenth of the start.
    gc.disable()
    # Not at the top of the module: `truelift --help` does not wait for the client libraries.
    import uvloop

    from agents.application import build
    from agents.renewal import Renewal
    from app.stream.clients import wait_for_broker
    from app.stream.face.run import serve
    from app.stream.ports import require_free

    _log_from(log_level.upper())

    async def main() -> Renewal:
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

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        renewal = runner.run(main())
    if renewal.due:
        renewal.begin_anew()


def _log_from(level: str) -> None:
    """A worker says little: where it is in its life. Its libraries say much, and are heard from warnings on."""
    logging.basicConfig(level="WARNING" if level == "INFO" else level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for package in OWN_PACKAGES:
        logging.getLogger(package).setLevel(level)
