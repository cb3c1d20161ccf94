"""audit: the raw topics read, the governance log folded, the journal replayed; then the ten points."""

import time
from typing import Any, NamedTuple

from app.audit.case import Case
from app.audit.checklist import checklist
from app.audit.findings import Point
from app.audit.reading import read_facts
from app.audit.rule_log import read_rules
from app.contract.times import format_us
from app.replay.partition import Progress
from app.replay.verify import verify
from app.settings import Settings


class AuditReport(NamedTuple):
    """made_at: RFC 3339."""

    key: str
    made_at: str
    points: list[Point]
    case: Case

    @property
    def passes(self) -> bool:
        return all(point.verdict == "PASS" for point in self.points)

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": "truelift.audit_report/1",
            "key": self.key,
            "made_at": self.made_at,
            "passes": self.passes,
            "points": [point.as_json() for point in self.points],
            "records_read": self.case.facts.read,
            "taken_by_retention": self.case.facts.taken_by_retention,
        }


async def audit(settings: Settings, key: str, jobs: int = 1, progress: Progress = lambda *_: None) -> AuditReport:
    """CallerError for an unknown policy, OperatorError where a topic is missing. jobs: partitions replayed at a time."""
    rules = await read_rules(settings, key)
    facts = await read_facts(settings, key)
    case = Case(facts, rules, await verify(settings, progress=progress, jobs=jobs))
    return AuditReport(key, format_us(time.time_ns() // 1000), checklist(case), case)
