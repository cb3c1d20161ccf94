"""The state that a replay rebuilds from the topics: in memory, or for a long history on disk. Thrown away at the end.

Owns where rows are kept while one partition is replayed. Refuses to touch a worker's own stores.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from app.engine.values import TABLES
from tables.memory import MemoryRows
from tables.store import Store, shared_memory
from tables.unit_state import UnitState

StateKind = Literal["memory", "disk"]

# Rows that a table on disk may hold back before it writes them in one batch.
DIRTY_ROWS = 4_096
# app/engine/rows.py files an event id under the day of its first append: one byte of table, four of day.
_DAY = slice(1, 5)


class SeenRows:
    """The `seen` table in memory, a dict a day: every tick asks for the oldest days only, which must not cost a sort of all."""

    def __init__(self) -> None:
        self._days: dict[bytes, dict[bytes, bytes]] = {}

    def get_bytes(self, key: bytes) -> bytes | None:
        day = self._days.get(key[_DAY])
        return None if day is None else day.get(key)

    def put_bytes(self, key: bytes, value: bytes) -> None:
        self._days.setdefault(key[_DAY], {})[key] = value

    def delete_bytes(self, key: bytes) -> None:
        day = self._days.get(key[_DAY])
        if day is not None and day.pop(key, None) is not None and not day:
            del self._days[key[_DAY]]

    def scan(self, lo: bytes, hi: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        for day in sorted(self._days):
            if day > hi[_DAY] or len(found) >= limit:
                break
            if day < hi[_DAY] or len(hi) > _DAY.stop:
                found += sorted((key, value) for key, value in self._days[day].items() if lo <= key < hi)
        return found[:limit]

    def all_rows(self) -> Iterator[tuple[bytes, bytes]]:
        for day in sorted(self._days):
            yield from sorted(self._days[day].items())


class DiskRows:
    """One table in a RocksDB of its own; changes are held back and written `DIRTY_ROWS` at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._dirty: dict[bytes, bytes | None] = {}
        self._batches = 0

    def get_bytes(self, key: bytes) -> bytes | None:
        return self._dirty[key] if key in self._dirty else self._store.get(key)

    def put_bytes(self, key: bytes, value: bytes) -> None:
        self._dirty[key] = value
        if len(self._dirty) >= DIRTY_ROWS:
            self._flush()

    def delete_bytes(self, key: bytes) -> None:
        self._dirty[key] = None

    def scan(self, lo: bytes, hi: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        self._flush()
        return list(self._store.scan(lo, hi, limit))

    def all_rows(self) -> Iterator[tuple[bytes, bytes]]:
        self._flush()
        return self._store.rows()

    def _flush(self) -> None:
        if self._dirty:
            self._batches += 1
            self._store.apply(self._dirty, self._batches)
            self._dirty = {}


class ReplayState(UnitState):
    """The tables of one partition, which can also be gone through from end to end."""

    def rows(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """All rows of a table, in the order of their keys."""
        found: Iterator[tuple[bytes, bytes]] = self._tables[table].all_rows()
        return found


@contextmanager
def replay_state(kind: StateKind) -> Iterator[ReplayState]:
    """An empty state for one partition."""
    if kind == "memory":
        yield ReplayState(
            {"eligibility": MemoryRows(), "assignments": MemoryRows(), "seen": SeenRows(), "timers": MemoryRows(ordered=True)}
        )
        return
    with tempfile.TemporaryDirectory(prefix="truelift-replay-") as folder:
        memory = shared_memory()
        stores = {name: Store(Path(folder) / name, memory) for name in TABLES}
        try:
            yield ReplayState({name: DiskRows(store) for name, store in stores.items()})
        finally:
            for store in stores.values():
                store.close()
