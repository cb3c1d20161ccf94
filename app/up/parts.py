"""The parts that run together, each a process of its own: started in order, watched, and drained in the other order.

The console and the edge go first, so that what was taken is still decided; then the worker, which commits; then the broker. One
that ends by itself ends all: half of an installation looks like a whole one that is slow. Refuses to start a part again, which
is a supervisor's work.
"""

import asyncio
import contextlib
import http.client
import json
import re
import signal
from collections.abc import Callable
from typing import Any

from app.errors import InternalError, OperatorError
from app.settings import Settings
from app.stream.broker import EmbeddedBroker
from app.stream.child import Child, truelift

START_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.1
ANSWER_SECONDS = 5.0
_CONSOLE_SAID = re.compile(r"console at (\S+)")
_EDGE_SAID = re.compile(r"edge takes events at http://(\S+):(\d+)")


class Parts:
    """broker: None where it is somebody else's to run. say: gets a line for the person at each step."""

    def __init__(self, settings: Settings, broker: EmbeddedBroker | None, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._broker = broker
        self._say = say
        # Nobody else may take the address of a part for another one's: the broker's is told, not found again.
        more = {"TRUELIFT_BROKER": settings.bootstrap(), "TRUELIFT_DATA_DIR": str(settings.data_dir)}
        folder = settings.data_dir / "up"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("worker", "edge", "console"):  # each log is of this run, for the edge's address is read from it
            (folder / f"{name}.log").unlink(missing_ok=True)
        self._worker = Child("worker", truelift("worker"), more, folder / "worker.log")
        self._edge = Child("edge", truelift("edge"), more, folder / "edge.log")
        self._console = Child("console", truelift("console"), more, folder / "console.log")
        self._children = (self._worker, self._edge, self._console)
        self._ending: dict[asyncio.Task[int], str] = {}

    async def run(self) -> None:
        """Returns after SIGINT or SIGTERM and a clean drain. Raises for a part that ended by itself, or not cleanly."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        stopped = asyncio.create_task(stop.wait())
        serving = asyncio.create_task(self._serve())
        try:
            await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                await serving
        finally:
            for task in (stopped, serving):
                task.cancel()
            failed = await self._drain()
        if failed:
            raise OperatorError(f"not all parts ended cleanly: {'; '.join(failed)}", f"See {self._worker.log_file.parent}")
        self._say("all parts have ended")

    async def _serve(self) -> None:
        """Until a part ends, which raises."""
        if self._broker is not None:
            self._ending[asyncio.create_task(asyncio.to_thread(self._broker.ended))] = "broker"
        for child in self._children:
            child.start()
            self._ending[asyncio.create_task(child.ended())] = child.name
        ready = asyncio.create_task(self._until_ready())
        both: set[asyncio.Task[Any]] = {ready, *self._ending}
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if ready in done:
                await ready
                done, _ = await asyncio.wait(both - {ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        raise self._ended(next(task for task in done if task in self._ending))

    def _ended(self, task: "asyncio.Task[int]") -> OperatorError:
        name, code = self._ending[task], task.result()
        for child in self._children:
            if child.name == name:
                return child.failed(code)
        return OperatorError(f"the {name} ended with exit code {code}", f"See {self._settings.data_dir / 'broker'}")

    async def _until_ready(self) -> None:
        self._say(f"broker  {self._settings.bootstrap()}")
        async with _deadline("worker"):
            if self._settings.web_port:
                host, port = _reachable(self._settings.web_bind), self._settings.web_port
                while not (await asyncio.to_thread(_status, host, port)).get("healthy"):  # noqa: ASYNC110 -- another process has no event for it
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)
                self._say(f"worker  http://{host}:{port}/")
        async with _deadline("edge"):
            while (found := _EDGE_SAID.search(self._edge.log)) is None:  # noqa: ASYNC110 -- another process has no event for it
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
            host, port = _reachable(found[1].strip("[]")), int(found[2])
            while not _listens(await asyncio.to_thread(_status, host, port)):  # noqa: ASYNC110 -- another process has no event for it
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
        self._say(f"edge    http://{host}:{port}")
        async with _deadline("console"):
            while (at := _CONSOLE_SAID.search(self._console.log)) is None:  # noqa: ASYNC110 -- another process has no event for it
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
        self._say(f"console {at[1]}")
        self._say("all parts run; Ctrl-C ends them")

    async def _drain(self) -> list[str]:
        """What did not end cleanly."""
        failed = []
        for child in reversed(self._children):
            was_running = child.running
            code = await child.stop()
            if was_running and code != 0:
                failed.append(f"the {child.name} with exit code {code}")
        if self._broker is not None:
            await asyncio.to_thread(self._broker.stop)
        for task in self._ending:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return failed


@contextlib.asynccontextmanager
async def _deadline(name: str) -> Any:
    try:
        async with asyncio.timeout(START_SECONDS):
            yield
    except TimeoutError:
        raise InternalError(
            f"the {name} was not ready within {START_SECONDS:.0f} s", "See its log in the data folder"
        ) from None


def _reachable(bind: str) -> str:
    """Where a part that listens everywhere is asked."""
    return "127.0.0.1" if bind in ("0.0.0.0", "::") else bind  # noqa: S104 -- compared, not bound


def _listens(status: dict[str, Any]) -> bool:
    """Of an edge: whether it can give decisions."""
    return bool(status.get("replies", {}).get("listening"))


def _status(host: str, port: int) -> dict[str, Any]:
    """{} when nobody answers, or something else does."""
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/status")
        return dict(json.load(connection.getresponse()))
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()
