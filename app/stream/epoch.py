"""An epoch: everything that a partition group did since its last commit, held back until the next one.

Owns: outputs by (topic, partition), one overlay for each table, next offsets, the records behind them, their size, and what the
app wants to hear of once they are committed.
Refuses: I/O. What is in an epoch has had no effect anywhere; dropping the object undoes it.
"""

from collections import defaultdict
from typing import Any, Final

from app.stream.order import Run

Headers = list[tuple[str, bytes]]
# Shared by all records without headers; aiokafka's builder takes a list and nothing else.
NO_HEADERS: Final[Headers] = []

# (key, value, timestamp ms, headers)
Output = tuple[bytes | None, bytes | None, int, Headers]
Overlay = dict[bytes, bytes | None]

# The row is not in this overlay (None is a deleted row).
MISSING: Any = object()


class Epoch:
    """Mutable while it is filled, left alone from the moment its commit begins."""

    __slots__ = ("after_commit", "bytes", "next_offsets", "outputs", "overlays", "records", "runs")

    def __init__(self, tables: int) -> None:
        self.outputs: defaultdict[tuple[str, int], list[Output]] = defaultdict(list)
        self.overlays: list[Overlay] = [{} for _ in range(tables)]
        self.next_offsets: dict[str, int] = {}
        self.records = 0
        self.bytes = 0  # of records, outputs and rows, overwritten ones counted again: an upper bound
        self.after_commit: list[Any] = []  # at most some for each record: bounded with them
        self.runs: list[Run] = []  # what was processed, in order: a poison record makes the group do it again

    def processed(self, run: Run) -> None:
        records = run.records
        self.next_offsets[run.topic] = records[-1].offset + 1
        self.records += len(records)
        self.bytes += run.size_bytes
        self.runs.append(run)

    def read(self, table: int, key: bytes) -> Any:
        """The row's bytes, None when deleted here, MISSING when this epoch says nothing about it."""
        return self.overlays[table].get(key, MISSING)
