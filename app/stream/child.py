"""A truelift command as a child process that never outlives its starter. Its output goes to a log."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from app.errors import OperatorError
from app.stream.owned_process import end, popen_owned

_RUN = "from app.cli import main; main()"
LAST_WORDS_CHARS = 300


def truelift(*arguments: str) -> list[str]:
    """The command line of a truelift command, by this interpreter."""
    return [sys.executable, "-c", _RUN, *arguments]


class Child:
    """`start` again after it has ended; the log goes on."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log_file: Path, *, with_input: bool = False
    ) -> None:
        self.name = name
        self.log_file = log_file
        self.command = list(command)
        self._environment = environment
        self._stdin = subprocess.PIPE if with_input else subprocess.DEVNULL
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self.log_file.open("ab") as console:
            self._process = popen_owned(self.command, console.fileno(), self._environment, self._stdin)
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start it first"
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that it said."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    async def write(self, content: bytes) -> None:
        """To its standard input; in a thread, for a full pipe waits. BrokenPipeError when it has ended."""
        pipe = self.process.stdin
        assert pipe is not None, "it was made without input"
        await asyncio.to_thread(_write, pipe, content)

    async def end_input(self) -> None:
        assert self.process.stdin is not None
        await asyncio.to_thread(self.process.stdin.close)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL, as a fault; gone when this returns."""
        self.process.kill()
        await self.ended()

    async def ended(self, seconds: float | None = None) -> int:
        """Its exit code, when it has ended. subprocess.TimeoutExpired when it has not within `seconds`."""
        return await asyncio.to_thread(self.process.wait, seconds)

    async def stop(self) -> int:
        """SIGTERM, then SIGKILL past the deadline. The exit code. Also of one that has ended or never begun."""
        if self._process is None:
            return 0
        await asyncio.to_thread(end, self._process)
        return self._process.returncode

    def failed(self, code: int) -> OperatorError:
        said = self.log.strip()[-LAST_WORDS_CHARS:].splitlines() or ["it said nothing"]
        return OperatorError(f"the {self.name} ended with exit code {code}: {said[-1]}", f"See {self.log_file}")


def _write(pipe: IO[bytes], content: bytes) -> None:
    pipe.write(content)
    pipe.flush()
