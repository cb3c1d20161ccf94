"""How the processes of one worker began and ended, kept in its directory from one to the next.

A worker that is fenced, or that any doubt ends, cannot be asked any more: only its successor can tell. Owns one small file.
Refuses: the figures of a running worker (metrics.py), and anything that a decision could depend on.
"""

import contextlib
import logging
from collections import Counter
from pathlib import Path

import orjson

log = logging.getLogger(__name__)

# Ends without a word: SIGKILL, the kernel's out-of-memory killer, a power cut.
KILLED = "killed"
DRAINED = "drained"


class History:
    """starts: processes begun here. ends: {how: how many}; how is "drained", or the name of an exit code in small letters."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.starts = 0
        self.ends: Counter[str] = Counter()
        self._read()

    def started(self) -> None:
        """A process that began and did not say how it ended was killed."""
        if unaccounted := self.starts - self.ends.total():
            self.ends[KILLED] += unaccounted
        self.starts += 1
        self._write()

    def ended(self, how: str) -> None:
        self.ends[how] += 1
        self._write()

    def _read(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            try:
                found = orjson.loads(self._path.read_bytes())
                self.starts, self.ends = int(found["starts"]), Counter(found["ends"])
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                log.warning("%s cannot be read (%r): counting from nothing", self._path, error)

    def _write(self) -> None:
        """By a rename: a process that dies here leaves the old file or the new one.

        No figure is worth a worker: what a disk that takes no more ends, the stores say, and say better.
        """
        new = self._path.with_suffix(".new")
        try:
            new.write_bytes(orjson.dumps({"starts": self.starts, "ends": self.ends}))
            new.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)
