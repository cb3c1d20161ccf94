"""One console process: uvicorn around the application, until SIGTERM or SIGINT."""

import asyncio
import contextlib
from collections.abc import Callable

import uvicorn

from app.console.application import ConsoleApplication
from app.edge.protocol import bounded
from app.edge.server import GracefulServer, listening
from app.errors import InternalError
from app.settings import Settings

CONNECTIONS = 500
HEAD_SECONDS, BODY_SECONDS, STOP_SECONDS = 10.0, 30.0, 10


async def serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Returns after a clean stop. on_ready: gets the address once pages are served."""
    with contextlib.closing(listening(settings.console_bind, settings.console_port, "console")) as listener:
        port = listener.getsockname()[1]
        here = [f"http://127.0.0.1:{port}", f"http://localhost:{port}"]
        application = ConsoleApplication(settings, [settings.console_origin] if settings.console_origin else here)
        async with application.running():
            server = GracefulServer(_config(application), application.end_streams)
            watch = asyncio.create_task(_end_with(application, server))
            on_ready(settings.console_origin or here[0])
            try:
                await server.serve(sockets=[listener])
            finally:
                watch.cancel()
    if application.failure is not None:
        raise InternalError(f"the console ended: {application.failure!r}", "Start it again") from application.failure


async def _end_with(application: ConsoleApplication, server: GracefulServer) -> None:
    await application.failed.wait()
    server.should_exit = True


def _config(application: ConsoleApplication) -> uvicorn.Config:
    return uvicorn.Config(
        application.asgi, http=bounded(HEAD_SECONDS, BODY_SECONDS),
        ws="none", lifespan="off", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=STOP_SECONDS,
    )  # fmt: skip
