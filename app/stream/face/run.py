"""Running an app as a worker process without Faust's command line: signals, uvloop, exit codes.

Owns: SIGTERM and SIGINT (drain, commit, exit 0): what a supervisor sends before it starts the worker again, and what a person
sends who wants it gone. A static member keeps its place after the first and gives it up at the second.
Refuses: logging set-up, which is the caller's.
"""

import asyncio
import gc
import signal
from typing import NoReturn

import uvloop

from app.stream import exits
from app.stream.face.app import App

GC_THRESHOLD = 100_000


def run(app: App) -> NoReturn:
    """Run until a signal; the process exits with 0, or with an ExitCode."""
    spare_the_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(app))
    raise SystemExit(0)


async def serve(app: App) -> None:
    """The same inside a running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, _leave, app, stop)
    app.finalize()
    starting = asyncio.create_task(app.start())
    stopping = asyncio.create_task(stop.wait())
    with exits.ends_process("the worker failed"):
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            crashed = asyncio.create_task(app.wait_until_stopped())
            await asyncio.wait({stopping, crashed}, return_when=asyncio.FIRST_COMPLETED)
            crashed.cancel()
        else:
            starting.cancel()
        stopping.cancel()
        if app.crashed:
            raise app.crash_reason or RuntimeError("a service of the app crashed")
        await app.stop()


def _leave(app: App, stop: asyncio.Event) -> None:
    app.leaves_for_good = True
    stop.set()


def spare_the_collector() -> None:
    """An epoch keeps tens of thousands of tuples alive for milliseconds; the collector would walk them again and again.

    No collection before the freeze: it takes 0.05 s, which a worker that comes back after a crash does not have to spare.
    """
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)
