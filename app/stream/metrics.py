"""The figures of a worker: plain counters and gauges in one object of fixed shape.

Owns: the numbers and their JSON. Refuses: exporting; the Faust Monitor, the status page and tests read this object.
"""

import os
import time
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMITS_KEPT = 1000
# Upper bounds of the commit histogram: a commit takes some 10 ms, its deadline is the transaction timeout (seconds).
COMMIT_BUCKETS_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Not among the figures of the JSON: the quantiles stand for them.
_RAW = {"commit_seconds", "commit_histogram"}


class Histogram:
    """Observations counted by bucket; `counts` has one more for those above the last bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, int]]:
        """[(upper bound, observations up to it)], the last one "+Inf"."""
        found, count = [], 0
        for bound, number in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            count += number
            found.append((bound, count))
        return found


@dataclass(slots=True)
class Metrics:
    """Counters only grow; gauges (restoring, restore_seconds) are the last value."""

    started_at: float = field(default_factory=time.time)
    records: int = 0
    records_by_topic: dict[str, int] = field(default_factory=dict)
    outputs: int = 0
    outputs_by_topic: dict[str, int] = field(default_factory=dict)
    rows_written: int = 0
    commits: int = 0
    commit_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=COMMITS_KEPT))
    commit_histogram: Histogram = field(default_factory=lambda: Histogram(COMMIT_BUCKETS_SECONDS))
    last_commit_at: float | None = None
    rebalances: int = 0
    restored_records: int = 0
    restored_bytes: int = 0
    restore_seconds: float = 0.0  # of the last restore, or of the running one so far
    restore_write_seconds: float = 0.0  # the part of it that the stores took
    restore_wait_seconds: float = 0.0  # the part of it in which the broker had not answered yet
    restoring: int = 0  # changelog partitions that are not at their end yet
    poison: int = 0
    discarded_records: int = 0
    stopped_partitions: list[int] = field(default_factory=list)
    fetch_paused: int = 0  # times that no group had room

    def consumed(self, topic: str, count: int) -> None:
        self.records += count
        self.records_by_topic[topic] = self.records_by_topic.get(topic, 0) + count

    def sent(self, topic: str, count: int) -> None:
        self.outputs += count
        self.outputs_by_topic[topic] = self.outputs_by_topic.get(topic, 0) + count

    def committed(self, seconds: float) -> None:
        self.commits += 1
        self.commit_seconds.append(seconds)
        self.commit_histogram.observe(seconds)
        self.last_commit_at = time.time()

    def as_json(self) -> dict[str, Any]:
        """JSON-ready; commit times as quantiles in ms over the last COMMITS_KEPT commits."""
        figures = {name: getattr(self, name) for name in self.__slots__ if name not in _RAW}
        return figures | {"commit_ms": quantiles_ms(self.commit_seconds), "resident_bytes": resident_bytes()}


def quantiles_ms(seconds: "deque[float]") -> dict[str, float]:
    """{"p50": .., "p90": .., "p99": .., "max": ..}; empty when nothing was measured."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return {
        "p50": round(1e3 * ordered[last // 2], 2),
        "p90": round(1e3 * ordered[last * 9 // 10], 2),
        "p99": round(1e3 * ordered[last * 99 // 100], 2),
        "max": round(1e3 * ordered[last], 2),
    }


def resident_bytes() -> int | None:
    """The memory that this process holds now; None where the system has no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except FileNotFoundError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
