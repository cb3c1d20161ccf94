"""One edge process: uvicorn around the application, until SIGTERM or SIGINT. Requests in hand get their answer first."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from app.edge.application import EdgeApplication
from app.edge.protocol import bounded
from app.errors import InternalError, OperatorError
from app.settings import Settings

BACKLOG = 2_048
# SDKs keep a connection between two batches: longer than they usually wait for the next one.
IDLE_SECONDS = 30
STOP_SECONDS = 15


class GracefulServer(uvicorn.Server):
    """uvicorn raises the signal again once it has stopped, which would end the process before the spool is closed."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self.end_streams = end_streams

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.end_streams()
        await super().shutdown(sockets)


async def serve(settings: Settings, on_ready: Callable[[str], None] = lambda address: None) -> None:
    """Returns after a clean stop. on_ready: gets the address once events are taken."""
    application = EdgeApplication(settings)
    with contextlib.closing(listening(settings.edge_bind, settings.edge_port, "edge")) as listener:
        async with application.running():
            server = GracefulServer(_config(settings, application), application.end_streams)
            watch = asyncio.create_task(_end_with(application, server), name="watch")
            host, port = listener.getsockname()[:2]
            on_ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
            try:
                await server.serve(sockets=[listener])
            finally:
                watch.cancel()
    failure = application.keeper.failure()
    if failure is not None:
        raise InternalError(f"the edge ended: {failure!r}", "Start it again; report this with its log") from failure


async def _end_with(application: EdgeApplication, server: uvicorn.Server) -> None:
    """An edge that cannot keep events any more must not take them."""
    await application.keeper.ended()
    server.should_exit = True


def _config(settings: Settings, application: EdgeApplication) -> uvicorn.Config:
    return uvicorn.Config(
        application.asgi,
        http=bounded(settings.edge_head_seconds, settings.edge_body_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # addresses may hold a key, or an event (GET /i)
        proxy_headers=False,
        server_header=False,
        limit_concurrency=settings.edge_max_connections,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def listening(bind: str, port: int, name: str) -> socket.socket:
    """OperatorError when somebody else listens there. name: of the part, as in its settings."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # Connections take it over. An answer is two writes, head and body: without it the second would wait 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((bind, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OperatorError(
            f"the {name} cannot listen on {bind}:{port} ({error.strerror})",
            f"Stop the program that listens there, or set TRUELIFT_{name.upper()}_PORT and TRUELIFT_{name.upper()}_BIND",
        ) from error
    return listener
