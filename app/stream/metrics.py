"""The figures of a worker: plain counters and gauges in one object of fixed shape.

Owns: the numbers and their JSON. Refuses: exporting; the Faust Monitor, the status page and tests read this object.
"""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

COMMITS_KEPT = 1000


@dataclass(slots=True)
class Metrics:
    """Counters only grow; gauges (restoring, filling_*) are the last value."""

    started_at: float = field(default_factory=time.time)
    records: int = 0
    records_by_topic: dict[str, int] = field(default_factory=dict)
    outputs: int = 0
    outputs_by_topic: dict[str, int] = field(default_factory=dict)
    rows_written: int = 0
    commits: int = 0
    commit_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=COMMITS_KEPT))
    last_commit_at: float | None = None
    rebalances: int = 0
    restored_records: int = 0
    restore_seconds: float = 0.0
    restoring: int = 0
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
        self.last_commit_at = time.time()

    def as_json(self) -> dict[str, Any]:
        """JSON-ready; commit times as quantiles in ms over the last COMMITS_KEPT commits."""
        figures = {name: getattr(self, name) for name in self.__slots__ if name != "commit_seconds"}
        return figures | {"commit_ms": quantiles_ms(self.commit_seconds)}


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
