"""The state that a replay rebuilds from the topics: in memory, or for a long history on disk. Thrown away at the end.

Owns where rows are kept while one partition is replayed. Refuses to touch a worker's own stores.
"""

import tempfile
from collections.abc import Iterable, Iterator
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
# app/engine/rows.py files an event id under the day of its first append and the unit: one byte of table, four of day, the unit,
# a separator, sixteen of id. The range of one unit's ids of a day ends with the byte that follows the separator.
_DAY = slice(1, 5)
_UNIT = slice(5, -17)
_SEPARATOR, _PAST_SEPARATOR = b"\x1f", b"\x20"


class SeenRows:
    """The `seen` table in memory, by day and unit: ticks ask for the oldest days, moves for one unit, and neither sorts all."""

    def __init__(self) -> None:
        self._days: dict[bytes, dict[bytes, dict[bytes, bytes]]] = {}

    def get_bytes(self, key: bytes) -> bytes | None:
        return self._days.get(key[_DAY], {}).get(key[_UNIT], {}).get(key)

    def put_bytes(self, key: bytes, value: bytes) -> None:
        self._days.setdefault(key[_DAY], {}).setdefault(key[_UNIT], {})[key] = value

    def delete_bytes(self, key: bytes) -> None:
        units = self._days.get(key[_DAY], {})
        rows = units.get(key[_UNIT], {})
        if rows.pop(key, None) is not None and not rows:
            del units[key[_UNIT]]
            if not units:
                del self._days[key[_DAY]]

    def scan(self, lo: bytes, hi: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        for day in sorted(self._days):
            if day > hi[_DAY] or len(found) >= limit:
                break
            if day >= lo[_DAY] and (day < hi[_DAY] or len(hi) > _DAY.stop):
                found += _of_day(self._days[day], lo, hi, limit - len(found))
        return found

    def all_rows(self) -> Iterator[tuple[bytes, bytes]]:
        for day in sorted(self._days):
            yield from sorted(row for rows in self._days[day].values() for row in rows.items())


def _of_day(units: dict[bytes, dict[bytes, bytes]], lo: bytes, hi: bytes, limit: int) -> list[tuple[bytes, bytes]]:
    """At most `limit` rows in key order; of one unit, or of the first one, without a look at the others' rows."""
    if lo[:-1] == hi[:-1] and (lo[-1:], hi[-1:]) == (_SEPARATOR, _PAST_SEPARATOR):
        chosen: Iterable[bytes] = [lo[_DAY.stop : -1]]
    elif limit == 1 and len(lo) <= _DAY.stop:
        chosen = [min(units, key=lambda unit: unit + _SEPARATOR)]
    else:
        chosen = units
    return sorted(row for unit in chosen for row in units.get(unit, {}).items() if lo <= row[0] < hi)[:limit]


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
