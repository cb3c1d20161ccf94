"""The counters of a check while it runs. Turned into a CheckReport at the end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from app.checker.report import CheckReport, Finding, Kind

SHOWN_FINDINGS = 10


@dataclass
class Tally:
    inputs: Counter[str] = field(default_factory=Counter)
    journal: Counter[str] = field(default_factory=Counter)
    journalled_by_topic: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    assignments: Counter[str] = field(default_factory=Counter)
    exposures: Counter[str] = field(default_factory=Counter)
    acknowledgements: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    deadletters: Counter[str] = field(default_factory=Counter)
    logins: Counter[str] = field(default_factory=Counter)
    findings: Counter[Kind] = field(default_factory=Counter)
    first: list[Finding] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    stores: Counter[str] = field(default_factory=Counter)
    unchecked: list[str] = field(default_factory=list)
    store_rows: int = 0
    ticks: int = 0
    waiting: int = 0
    fired: int = 0
    poisoned_ticks: int = 0
    moved_by_ticks: int = 0
    held_out: int = 0
    units_asked_for_holdout: int = 0
    units: int = 0

    def note(self, kind: Kind, topic: str, partition: int, offset: int, what: str, count: int = 1) -> None:
        self.findings[kind] += count
        if len(self.first) < SHOWN_FINDINGS:
            self.first.append(Finding(kind, topic, partition, offset, what))

    def report(self) -> CheckReport:
        values: dict[str, Any] = {
            name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()
        }
        return CheckReport(**values | {"first": tuple(self.first), "unchecked": tuple(self.unchecked)})
