"""What takes longer than a page may: audits, what-if reports, looks. Made one at a time in the background, kept as files.

Owns the file of each report, and what became of the newest try. A report that is kept is shown with the time at which it was
made, until a newer one is there. Refuses a second of the same while one is made, and a queue without end.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import orjson
from aiokafka.errors import KafkaError

from app.console.changes import Changes
from app.errors import CallerError, OperatorError, TrueliftError
from app.secret_files import OWNER_ONLY
from app.stream.child import truelift

log = logging.getLogger(__name__)

MOST_WAITING = 8
REPORT_SECONDS = 1_800.0
LAST_WORDS_CHARS = 300
MOST_REPORT_BYTES = 64 << 20

Make = Callable[[], Awaitable[dict[str, Any]]]


class Report(NamedTuple):
    made_us: int
    body: dict[str, Any]


class Reports:
    """`close` ends what is being made."""

    def __init__(self, folder: Path, changes: Changes) -> None:
        self._folder = folder
        self._changes = changes
        self._making: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, str] = {}
        self._turn = asyncio.Lock()

    def kept(self, name: str) -> Report | None:
        """The newest that was made."""
        try:
            return Report(**orjson.loads(self._file(name).read_bytes()))
        except FileNotFoundError:
            return None

    def is_made(self, name: str) -> bool:
        """Whether it is being made, or waits for its turn."""
        return name in self._making

    def why_not(self, name: str) -> str | None:
        """Why the newest try came to nothing."""
        return self._failed.get(name)

    def begin(self, name: str, make: Make) -> None:
        """CallerError: it is being made, or too many wait."""
        if name in self._making:
            raise CallerError("this report is being made", "Wait for it: the page shows it when it is there")
        if len(self._making) >= MOST_WAITING:
            raise CallerError(f"{MOST_WAITING} reports wait", "Try again when one of them is there")
        self._failed.pop(name, None)
        task = asyncio.create_task(self._make(name, make), name=f"report {name}")
        self._making[name] = task
        task.add_done_callback(lambda ended: self._done(name, ended))
        self._changes.tell()

    async def close(self) -> None:
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, name: str, make: Make) -> None:
        try:
            async with self._turn, asyncio.timeout(REPORT_SECONDS):
                body = await make()
            await asyncio.to_thread(self._keep, name, Report(time.time_ns() // 1_000, body))
        except TrueliftError as error:
            self._failed[name] = str(error)
        except TimeoutError:
            self._failed[name] = f"it was not there after {REPORT_SECONDS:,.0f} s"
        except (KafkaError, duckdb.Error, OSError) as error:
            self._failed[name] = f"{type(error).__name__}: {error}"

    def _done(self, name: str, task: "asyncio.Task[None]") -> None:
        self._making.pop(name, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A fault of our own: the page says it, the log has the whole of it, and the other pages go on.
            log.error("the report %s failed", name, exc_info=error)
            self._failed[name] = f"{type(error).__name__}: {error}"
        self._changes.tell()

    def _keep(self, name: str, report: Report) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._file(name)
        fresh = file.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "wb") as written:
            written.write(orjson.dumps(report._asdict()))
        fresh.replace(file)

    def _file(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


async def command(*arguments: str) -> dict[str, Any]:
    """What a truelift command says with --json. Exit code 1 is an answer too: not all is well."""
    process = await asyncio.create_subprocess_exec(
        *truelift(*arguments, "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=MOST_REPORT_BYTES,
    )
    try:
        said, words = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode not in (0, 1) or not said.strip():
        last = (words.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1][-LAST_WORDS_CHARS:]
        raise OperatorError(f"truelift {arguments[0]} ended with exit code {process.returncode}: {last}", "Run it by hand")
    answer: dict[str, Any] = orjson.loads(said)
    return answer


async def audit(key: str) -> dict[str, Any]:
    """The ten points, from the raw topics."""
    return await command("audit", key)


async def what_if(body_yaml: str) -> dict[str, Any]:
    """Of a proposed body, over all that was recorded; with the digest that binds it to an approval."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "policy.yaml"
        file.write_text(body_yaml)
        return await command("replay", "what-if", "--policy", str(file))
