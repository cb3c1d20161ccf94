"""One changelog partition, folded: what each key says last, and since which offset.

Refuses to judge, but for one thing that only the sequence shows: a row that falls back behind the row before it. A worker that
lost its partitions and writes all the same (a zombie) leaves such rows, even where a later one covers them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import orjson

from app.reading import PartitionReader

ELIGIBILITY, ASSIGNMENTS, SEEN, TIMERS = TABLES = ("eligibility", "assignments", "seen", "timers")


class Row(NamedTuple):
    """value None: deleted by the record at `offset`."""

    offset: int
    value: bytes | None


class Changelog:
    """rows: by key; end: the offset of the last committed record, -1 without one."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.rows: dict[bytes, Row] = {}
        self.end = -1
        self._progress_of = PROGRESS.get(table)
        self._progress: dict[bytes, Progress] = {}

    async def read(self, reader: PartitionReader, fell_back: Callable[[bytes, int], None]) -> None:
        """fell_back(key, offset): told of each row that is older than the one before it."""
        while (stored := await reader.take()) is not None:
            key, value = stored.key or b"", stored.value or None
            if self._progress_of is not None and value is not None:
                progress = self._progress_of(orjson.loads(value))
                if key in self._progress and progress.is_behind(self._progress[key]):
                    fell_back(key, stored.offset)
                self._progress[key] = progress
            self.rows[key] = Row(stored.offset, value)
            self.end = stored.offset

    def get(self, key: bytes) -> bytes | None:
        row = self.rows.get(key)
        return None if row is None else row.value

    def living(self) -> dict[bytes, bytes]:
        """The rows that are there."""
        return {key: row.value for key, row in self.rows.items() if row.value is not None}


class Progress(Protocol):
    """How far a row has come; an older one is behind."""

    def is_behind(self, before: Any) -> bool: ...


class Facts(NamedTuple):
    """Every commit that writes a unit's facts has counted at least one signal more."""

    signals: int

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Facts":
        return cls(sum(row.get("counts", {}).values()))

    def is_behind(self, before: "Facts") -> bool:
        return self.signals <= before.signals


class Given(NamedTuple):
    """Policy -> (rule version, exposed). No assignment goes away, no version goes down, no exposure is undone, but by a login.

    logins: how many devices have changed what a user has; of a device, whether it has given all of it to its user.
    """

    logins: int
    assignments: dict[str, tuple[int, bool]]

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Given":
        given, identity = row.get("assignments", {}).items(), row.get("identity", {})
        logins = 1 if "user" in identity else identity.get("links", 0)
        return cls(logins, {policy: (entry["rule_version"], entry["exposed_us"] is not None) for policy, entry in given})

    def is_behind(self, before: "Given") -> bool:
        if self.logins != before.logins:
            return self.logins < before.logins
        return any(self.assignments.get(policy, (-1, False)) < entry for policy, entry in before.assignments.items())


PROGRESS: dict[str, Callable[[dict[str, Any]], Progress]] = {ELIGIBILITY: Facts.of, ASSIGNMENTS: Given.of}
