"""Is an arm doing harm? A pure question to the ledger: the same records give the same answer, to the digit.

Owns alpha and how it is shared: between all comparisons of a policy (Bonferroni), since any of them pauses it. Refuses to pause
for less than the policy's own bound, however sure it is: a difference that its owner said would be borne is no harm.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from app.analysis.harm import Periods, log_evidence
from app.contract.policy import SCORE_PSI, Policy
from app.guardian.guardrails import Watched, watched
from app.guardian.ledger import Hours, Scores, Span, is_once
from app.guardian.shift import Shift, shifts

# The chance that a policy without any harm is ever paused, over all of its guardrails, arms and hours.
ALPHA = 0.05


class Counts(Protocol):
    """What is asked of a ledger."""

    def counts(self, policy: str, version: int, rail: Watched, span: Span) -> tuple[Hours, Hours]: ...

    def scores(self, policy: str, version: int, span: Span) -> Scores: ...


class Judgement(NamedTuple):
    """One arm against the control. *_people, *_met: until the end of the last hour. log_evidence: the highest so far; at or
    above `limit` with an excess over `bound` it is a breach."""

    metric: str
    role: str
    arm: str
    control: str
    hours: int
    people: int
    met: int
    control_people: int
    control_met: int
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
        ours = f"{self.met:,} of {self.people:,} in {self.arm}"
        theirs = f"{self.control_met:,} of {self.control_people:,} in {self.control}"
        return f"{self.metric}: {ours}, {theirs}, after {self.hours} hours"


def judge(ledger: Counts, policy: Policy, version: int, span: Span) -> Iterator[Judgement | Shift]:
    """Of people assigned within the span, and what they met until its end; of scores, the days of the span."""
    control, *treatments = policy.arms()
    rails = list(watched(policy))
    if not rails:
        return
    limit = math.log(len(rails) * max(1, len(treatments)) / ALPHA)
    for rail in rails:
        if rail.metric == SCORE_PSI and not rail.is_event:
            yield from shifts(ledger.scores(policy.key, version, span), rail, span, ALPHA / len(rails))
            continue
        joined, met = ledger.counts(policy.key, version, rail, span)
        for arm in treatments:
            found = _judgement(rail, arm, control, joined, met, limit)
            if found is not None:
                yield found


def _judgement(rail: Watched, arm: str, control: str, joined: Hours, met: Hours, limit: float) -> Judgement | None:
    seen = {hour for hours in (joined, met) for name in (arm, control) for hour in hours.get(name, {})}
    if not seen or not (joined.get(arm) and joined.get(control)):
        return None
    hours = range(min(seen), max(seen) + 1)
    ours, theirs = (_series(joined.get(name, {}), met.get(name, {}), hours, once=is_once(rail)) for name in (arm, control))
    worse, better = (theirs, ours) if rail.falls else (ours, theirs)
    evidence = log_evidence(Periods(worse[1], worse[0], better[1], better[0]))
    people, control_people = (sum(joined[name].values()) for name in (arm, control))
    has_met, control_met = (sum(met.get(name, {}).values()) for name in (arm, control))
    excess = (has_met / people - control_met / control_people) * (-1 if rail.falls else 1)
    return Judgement(
        rail.metric, rail.role, arm, control, len(hours), people, has_met, control_people, control_met,
        float(evidence.max()), limit, rail.bound, excess,
    )  # fmt: skip


def _series(joined: dict[int, int], met: dict[int, int], hours: range, *, once: bool) -> tuple[list[int], list[int]]:
    """(at risk, met) of each hour: who has met it is not at risk again."""
    came = np.array([joined.get(hour, 0) for hour in hours])
    fell = np.array([met.get(hour, 0) for hour in hours])
    at_risk = came if once else np.cumsum(came) - (np.cumsum(fell) - fell)
    return at_risk.tolist(), fell.tolist()
