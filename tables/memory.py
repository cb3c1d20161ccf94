"""The same tables held in memory: for replays and tests, where state is rebuilt from the topics and thrown away."""

from bisect import bisect_left, insort
from collections.abc import Iterator

from app.engine.values import TABLES, TIMERS
from tables.unit_state import UnitState


class MemoryRows:
    """One table as a dict, with its keys sorted only where ranges are asked for (`ordered`)."""

    def __init__(self, *, ordered: bool = False) -> None:
        self.rows: dict[bytes, bytes] = {}
        self._keys: list[bytes] | None = [] if ordered else None

    def get_bytes(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def scan(self, lo: bytes, hi: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        keys = sorted(self.rows) if self._keys is None else self._keys
        start = bisect_left(keys, lo)
        end = min(bisect_left(keys, hi), start + limit)
        return [(key, self.rows[key]) for key in keys[start:end]]

    def all_rows(self) -> Iterator[tuple[bytes, bytes]]:
        """In the order of their keys."""
        return iter(sorted(self.rows.items()))

    def put_bytes(self, key: bytes, value: bytes) -> None:
        if self._keys is not None and key not in self.rows:
            insort(self._keys, key)
        self.rows[key] = value

    def delete_bytes(self, key: bytes) -> None:
        if self.rows.pop(key, None) is not None and self._keys is not None:
            del self._keys[bisect_left(self._keys, key)]


class MemoryState(UnitState):
    """The state of one partition group in memory."""

    def __init__(self) -> None:
        super().__init__({name: MemoryRows(ordered=name == TIMERS) for name in TABLES})
