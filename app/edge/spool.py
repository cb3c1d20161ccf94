"""The disk that stands in for Kafka while it does not answer: segments of records, synced before they count, read in order.

Owns: the bound in bytes, the order, what was written when something crashed. Refuses: more than the bound (SpoolFullError), a
second process in its folder, and writing to a segment after a failed sync: what the disk holds of it is then in doubt for good
(the kernel may drop the dirty pages and report the next sync as fine), while a new segment is not.
"""

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from app.edge.frames import decoded, encoded
from app.edge.record import Record
from app.errors import OperatorError

log = logging.getLogger(__name__)

SEGMENT_BYTES = 4 << 20
SUFFIX = ".spool"
TORN_SUFFIX = ".torn"


class SpoolFullError(Exception):
    """The bound is reached: what comes now is refused, and said so."""


class Segment(NamedTuple):
    number: int
    path: Path


class Spool:
    """Used by one event loop: at most one append at a time. `bytes` counts what waits."""

    def __init__(self, folder: Path, bound_bytes: int) -> None:
        self.folder = folder
        self.bytes = 0
        self._bound_bytes = bound_bytes
        self._segments: list[Segment] = []
        self._writing: IO[bytes] | None = None
        self._written = 0
        self._turn = asyncio.Lock()
        self._lock: IO[str] | None = None
        self._next_number = 1

    def open(self) -> None:
        """Takes the folder and finds what a former process left. OperatorError: another process has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise OperatorError(
                f"another edge keeps its spool in {self.folder}", "Stop it, or give this one a TRUELIFT_EDGE_DIR of its own"
            ) from error
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            self._segments.append(Segment(int(path.stem), path))
            self.bytes += path.stat().st_size
        if self._segments:
            self._next_number = self._segments[-1].number + 1

    def close(self) -> None:
        self._seal()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def segments(self) -> Sequence[Segment]:
        """Oldest first; the last grows until it is read."""
        return tuple(self._segments)

    async def append(self, records: Sequence[Record]) -> None:
        """Returns when the disk has them. SpoolFullError, or OSError when the disk fails: then they do not count."""
        frames = encoded(records)
        if self.bytes + len(frames) > self._bound_bytes:
            raise SpoolFullError
        async with self._turn:
            try:
                await asyncio.to_thread(self._append, frames)
            except OSError:
                self._seal()
                self.bytes = sum(segment.path.stat().st_size for segment in self._segments)
                raise

    def _append(self, frames: bytes) -> None:
        if self._writing is None:
            self._begin()
        assert self._writing is not None
        rest = memoryview(frames)
        while rest:
            rest = rest[self._writing.write(rest) :]
        self.bytes += len(frames)
        os.fdatasync(self._writing.fileno())
        self._written += len(frames)
        if self._written >= SEGMENT_BYTES:
            self._seal()

    def _begin(self) -> None:
        segment = Segment(self._next_number, self.folder / f"{self._next_number:012d}{SUFFIX}")
        self._next_number += 1
        # Unbuffered: what `write` has taken is the kernel's, and a kill of this process does not lose it.
        self._writing = segment.path.open("xb", buffering=0)
        self._segments.append(segment)
        _sync_folder(self.folder)

    def _seal(self) -> None:
        if self._writing is not None:
            self._writing.close()
            self._writing = None
            self._written = 0

    async def read(self, segment: Segment) -> list[Record]:
        """Everything in it. It does not grow any more afterwards: what comes later goes to the next one."""
        async with self._turn:
            return await asyncio.to_thread(self._read, segment)

    def _read(self, segment: Segment) -> list[Record]:
        if segment == self._segments[-1]:
            self._seal()
        frames = segment.path.read_bytes()
        records, end = decoded(frames)
        if end < len(frames):
            # Never acknowledged; yet nothing is thrown away unseen.
            torn = segment.path.with_suffix(f".{time.time_ns()}{TORN_SUFFIX}")
            torn.write_bytes(frames[end:])
            log.warning("%s ends inside of a record: %d bytes are set aside in %s", segment.path, len(frames) - end, torn.name)
            os.truncate(segment.path, end)
            self.bytes -= len(frames) - end
        return records

    async def remove(self, segment: Segment) -> None:
        """Its records are in Kafka."""
        async with self._turn:
            await asyncio.to_thread(self._remove, segment)

    def _remove(self, segment: Segment) -> None:
        self.bytes -= segment.path.stat().st_size
        self._segments.remove(segment)
        segment.path.unlink()
        _sync_folder(self.folder)


def _sync_folder(folder: Path) -> None:
    """A new file is there after a power cut only when its folder was synced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
