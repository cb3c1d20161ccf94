"""What the client saw in the journal, counted as it came: one pass, no second reading. Refuses to judge."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from app.contract.topics import EXPERIMENT_EXPOSURE

# Reasons of a decision that had found out about the holdout and gone on.
_AFTER_HOLDOUT = frozenset({"assigned", "sticky", "layer_excluded", "not_covered", "delayed", "waiting", "late_fallback"})

Arm = tuple[str, str]  # policy, variant


@dataclass
class Tally:
    """reasons: (policy, reason). units: of the watched policy, unit -> held out."""

    watched: str
    records: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    inputs: Counter[str] = field(default_factory=Counter)
    rejections: Counter[str] = field(default_factory=Counter)
    acknowledgements: dict[tuple[int, int], str] = field(default_factory=dict)  # (partition, offset) -> status
    timers_set: int = 0
    timers_cancelled: int = 0
    arms: dict[str, Arm] = field(default_factory=dict)  # by assignment id
    units: dict[str, bool] = field(default_factory=dict)

    def take(self, record: dict[str, Any]) -> None:
        """One journal record."""
        status = record["status"]
        self.records += 1
        self.statuses[status] += 1
        if status != "fired":
            self.inputs[record["input"]["topic"]] += 1
        if status == "rejected":
            self.rejections[record["rejection"]["code"]] += 1
        if record["input"]["topic"] == EXPERIMENT_EXPOSURE:
            self.acknowledgements[record["input"]["partition"], record["input"]["offset"]] = status
        for decision in record["decisions"]:
            self._decision(record["unit"], decision)

    def _decision(self, unit: str, decision: dict[str, Any]) -> None:
        policy, reason = decision["policy"], decision["reason"]
        self.reasons[policy, reason] += 1
        self.timers_set += len(decision["timers_set"])
        self.timers_cancelled += len(decision["timers_cancelled"])
        if decision["assignment_id"] is not None and decision["variant"] is not None:
            self.arms[decision["assignment_id"]] = (policy, decision["variant"])
        if policy == self.watched and (decision["holdout"] or reason in _AFTER_HOLDOUT):
            self.units[unit] = decision["holdout"]

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

    def by_reason(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for (_, reason), count in self.reasons.items():
            total[reason] += count
        return total
