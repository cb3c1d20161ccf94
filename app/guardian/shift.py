"""Have a model's scores moved? A pure question to the ledger, day by day against the first full week.

Owns how alpha is shared over the days: the k-th day may spend 1 / (k (k + 1)) of it, which adds up to all of it however long a
policy runs. Refuses a day that is not over, and a week of reference that is not.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from app.analysis.alarms.scored import BINS, REFERENCE_DAYS, Daily
from app.analysis.alarms.scored import Span as Days
from app.analysis.alarms.scores import drifts
from app.guardian.guardrails import Watched
from app.guardian.ledger import Span

HOURS_A_DAY = 24
Hours = Mapping[int, Mapping[int, int]]  # hour since 1970 -> cell -> decisions
# Evidence is a logarithm; of a p that is too small for a double it is this.
MOST_EVIDENCE = 700.0


class Shift(NamedTuple):
    """The day that is furthest off, of those that are beyond chance if there are any. arm: the score's name. days: judged so
    far; people: decisions of that day; excess: its PSI. log_evidence at or above `limit` with an excess over `bound` is a
    breach."""

    metric: str
    role: str
    arm: str
    control: str
    days: int
    day: str
    people: int
    log_evidence: float
    limit: float
    bound: float
    excess: float

    @property
    def is_breach(self) -> bool:
        return self.log_evidence >= self.limit and self.excess > self.bound

    def body(self, version: int, span: Span, offsets: dict[str, dict[str, int]]) -> dict[str, Any]:
        """The evidence, as the `paused` record carries it: what was found, and up to where was read."""
        found = {name: round(value, 6) if isinstance(value, float) else value for name, value in self._asdict().items()}
        return {"evidence": found, "rule_version": version, **span._asdict(), "offsets": offsets}

    def said(self) -> str:
        where = f"of {self.people:,} decisions on {self.day}" if self.day else "and no day is over yet"
        return f"{self.metric}: the scores of {self.arm} are {self.excess:.3f} from the first week's, {where}"


def shifts(scores: Mapping[str, Hours], rail: Watched, span: Span, alpha: float) -> Iterator[Shift]:
    """For each score that was ever journalled, one. alpha: of this guardrail."""
    for name, hours in scores.items():
        yield _shift(name, _daily(name, hours, span), rail, alpha / len(scores))


def _shift(name: str, daily: Daily, rail: Watched, alpha: float) -> Shift:
    judged = [
        (min(MOST_EVIDENCE, -math.log(max(one.p, 1e-304))), math.log(k * (k + 1) / alpha), one)
        for k, one in enumerate(drifts(daily), start=1)
    ]
    if not judged:
        decisions = sum(map(sum, daily.days.values()))
        return Shift(rail.metric, rail.role, name, "first week", 0, "", decisions, 0.0, math.log(2 / alpha), rail.bound, 0.0)
    beyond = [found for found in judged if found[0] >= found[1]]
    evidence, limit, worst = max(beyond or judged, key=lambda found: found[2].psi)
    return Shift(
        rail.metric, rail.role, name, "first week", len(judged), worst.date, worst.decisions,
        evidence, limit, rail.bound, worst.psi,
    )  # fmt: skip


def _daily(name: str, hours: Hours, span: Span) -> Daily:
    """In ten bins of as many decisions of the first week each, as far as cells can be parted."""
    first = -(-min(hours) // HOURS_A_DAY)
    reference = Days(first, first + REFERENCE_DAYS - 1)
    edges = _edges(hours, reference)
    days: dict[int, list[int]] = {}
    for hour, cells in hours.items():
        bins = days.setdefault(hour // HOURS_A_DAY, [0] * (len(edges) + 1))
        for cell, decisions in cells.items():
            bins[sum(edge < cell for edge in edges)] += decisions
    complete = span.until_us // (HOURS_A_DAY * 3_600_000_000) - 1
    return Daily(name, reference, complete, days, {})


def _edges(hours: Hours, reference: Days) -> list[int]:
    """The last cell of each bin but the highest."""
    week: dict[int, int] = {}
    for hour, cells in hours.items():
        if reference.first <= hour // HOURS_A_DAY <= reference.last:
            for cell, decisions in cells.items():
                week[cell] = week.get(cell, 0) + decisions
    least, reached = sum(week.values()) / BINS, 0
    edges: list[int] = []
    for cell in sorted(week):
        reached += week[cell]
        if reached >= least * (len(edges) + 1):
            edges.append(cell)
    return edges[:-1]
