"""Opening the input (a file, gzip or standard input) and reading it beside the event loop. Refuses to guess a format."""

import asyncio
import gzip
import io
import os
import sys
import threading
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from stat import S_ISREG
from typing import IO, BinaryIO, NamedTuple, cast

from app.errors import CallerError
from app.ingest.candidate import Candidate, ndjson_candidates
from app.ingest.csv_rows import csv_candidates
from app.ingest.mapping import CsvMapping

STDIN = "-"
# Read ahead of the sender; a bound, so that a large file never sits in memory.
READ_AHEAD = 2_000
# Room is given back in pieces: a thread that is woken for each record costs as much as sending it.
REFILL = READ_AHEAD // 2


class Input(NamedTuple):
    """content: the bytes to read, unpacked. packed: the file itself; of a gzip file only its packed size is known."""

    content: IO[bytes]
    packed: IO[bytes]

    @property
    def size(self) -> int | None:
        """None for a pipe or a stream in memory."""
        try:
            status = os.fstat(self.packed.fileno())
        except io.UnsupportedOperation:  # a stream in memory
            return None
        return status.st_size if S_ISREG(status.st_mode) else None

    @property
    def position(self) -> int:
        return 0 if self.size is None else self.packed.tell()


def open_input(file: str) -> Input:
    """Unpacked when its name ends with .gz."""
    if file == STDIN:
        return Input(sys.stdin.buffer, sys.stdin.buffer)
    try:
        packed: BinaryIO = Path(file).open("rb")  # noqa: SIM115 -- the caller closes it
        content = cast("IO[bytes]", gzip.GzipFile(fileobj=packed)) if file.endswith(".gz") else packed
        return Input(content, packed)
    except OSError as error:
        raise CallerError(
            f"{file} cannot be read: {error.strerror or error}", "Give an existing file, or - for standard input"
        ) from error


def candidates(stream: IO[bytes], file: str, mapping: CsvMapping | None) -> Iterator[Candidate]:
    """CSV when there is a mapping, else NDJSON."""
    if mapping is None and file.removesuffix(".gz").endswith(".csv"):
        raise CallerError(f"{file} is CSV and there is no mapping", "Say how its columns become events: --map mapping.yaml")
    try:
        yield from ndjson_candidates(stream) if mapping is None else csv_candidates(stream, mapping, file)
    except (OSError, EOFError, zlib.error) as error:
        raise CallerError(f"{file} cannot be read on: {error}", "Check the file; what was read so far has been sent") from error


class ReadAhead:
    """Candidates read by a thread of their own: a silent pipe must not hold up the event loop, which sends and paces.

    The thread is a daemon: one that waits for standard input does not keep the process from ending.
    """

    def __init__(self, source: Iterator[Candidate]) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._room = threading.Semaphore(READ_AHEAD)
        self._read: deque[Candidate | BaseException | None] = deque()
        self._something = asyncio.Event()
        threading.Thread(target=self._run, name="ingest-reader", daemon=True).start()

    async def __aiter__(self) -> AsyncIterator[Candidate]:
        taken = 0
        while True:
            await self._something.wait()
            self._something.clear()
            while self._read:
                item = self._read.popleft()
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                taken += 1
                if taken == REFILL:
                    taken = 0
                    self._room.release(REFILL)
                yield item

    def _run(self) -> None:
        try:
            for candidate in self._source:
                self._room.acquire()
                self._put(candidate)
        except BaseException as error:  # noqa: BLE001 -- whatever it is, it is raised where the candidates are awaited
            self._put(error)
        else:
            self._put(None)

    def _put(self, item: Candidate | BaseException | None) -> None:
        self._read.append(item)
        if not self._something.is_set() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._something.set)
