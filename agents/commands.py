"""`truelift worker`: one worker process, until SIGTERM."""

import asyncio
import gc
import logging

import typer

from app.settings import Settings

# A worker makes some hundred short-lived objects a record and keeps almost none: a rare collection costs less than many.
GC_THRESHOLDS = (100_000, 50, 100)


def worker(log_level: str = typer.Option("warning", help="debug, info, warning or error")) -> None:
    """Consume, decide and journal the partitions that the group gives to this worker. SIGTERM drains and ends it."""
    from agents.application import build
    from app.stream.face.run import serve

    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    import uvloop

    async def main() -> None:
        app = await build(Settings())
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        await serve(app)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
