"""What the client saw in the journal, counted as it came: what the scenes wait for. Refuses to judge."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """reasons: (policy, reason)."""

    records: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    timers_set: int = 0
    timers_cancelled: int = 0

    def take(self, record: dict[str, Any]) -> None:
        """One journal record."""
        self.records += 1
        self.statuses[record["status"]] += 1
        for decision in record["decisions"]:
            self.reasons[decision["policy"], decision["reason"]] += 1
            self.timers_set += len(decision["timers_set"])
            self.timers_cancelled += len(decision["timers_cancelled"])

    @property
    def fired(self) -> int:
        return self.statuses["fired"]

    @property
    def inputs_done(self) -> int:
        """Journal records of consumed records, timers aside."""
        return self.records - self.fired

    @property
    def timers_waiting(self) -> int:
        return self.timers_set - self.timers_cancelled - self.fired

    def with_reason(self, reason: str, policy: str | None = None) -> int:
        return sum(count for (key, found), count in self.reasons.items() if found == reason and policy in (None, key))

    def by_reason(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for (_, reason), count in self.reasons.items():
            total[reason] += count
        return dict(total)
