"""The four tables of a worker as the engine reads them, and the one way its writes are stored. No policy."""

from collections.abc import Iterable
from typing import Any

from app.engine.values import TABLES, Rows, Write


class UnitState:
    """Satisfies app.engine.values.State over tables with get_bytes, put_bytes, delete_bytes and scan."""

    def __init__(self, tables: dict[str, Any]) -> None:
        missing = set(TABLES) - tables.keys()
        if missing:
            raise ValueError(f"tables {sorted(missing)} are missing")
        self.eligibility: Rows = tables["eligibility"]
        self.assignments: Rows = tables["assignments"]
        self.seen: Rows = tables["seen"]
        self.timers: Rows = tables["timers"]
        self._tables = tables

    def store(self, writes: Iterable[Write]) -> None:
        for table, key, value in writes:
            if value is None:
                self._tables[table].delete_bytes(key)
            else:
                self._tables[table].put_bytes(key, value)
