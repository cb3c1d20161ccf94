"""Alarms that need outcomes by arm, and so are asked at looks alone.

Owns two questions. Arms that differ among people who were never shown anything: those got the same in every arm, so the
difference comes from who was too late, and with those who were in time it is the other way round (a negative control:
Lipsitch et al., Epidemiology 21 (2010)). And whether a win against the holdout has decayed since (app/analysis/decay.py).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from app.analysis.alarms.alarm import Alarm, Question, Reading, alarm
from app.analysis.cells import Arm
from app.analysis.decay import ALARM_AT, Day, decay
from app.analysis.effect import MetricKind, effect
from app.analysis.looks import CYCLE_DAYS
from app.analysis.shares import SRM_ALARM_P

# The reference is an estimate itself: so many of its standard errors below it is what later days must keep up with. With two,
# a steady win raises an alarm in a quarter of a year with a chance below one percent.
REFERENCE_ERRORS = 2.0


class OutcomeFacts(NamedTuple):
    """unshown: arm -> those assigned and never shown. days: treated minus held out, oldest first, of days whose outcome windows
    are over."""

    control: str
    kind: MetricKind
    unshown: Mapping[str, Arm]
    days: Sequence[Day]


def unshown_differ(facts: OutcomeFacts) -> Iterator[Reading]:
    control = facts.unshown.get(facts.control, {})
    treatments = [arm for arm in facts.unshown if arm != facts.control]
    for arm in treatments:
        found = effect(control, facts.unshown[arm], facts.kind, SRM_ALARM_P)
        if found is not None:
            p = min(1.0, found.p * len(treatments))
            said = f"{arm} against {facts.control}, of people never shown it: {found.difference:+.3g} (p = {p:.2g})"
            yield Reading(arm, "p", p, SRM_ALARM_P, p < SRM_ALARM_P, said)


def decayed(facts: OutcomeFacts) -> Iterator[Reading]:
    """Of a win alone: the difference of the first week must be above nothing by more than its error."""
    first, later = facts.days[:CYCLE_DAYS], facts.days[CYCLE_DAYS:]
    if len(first) < CYCLE_DAYS or not later:
        return
    weights = [1 / day.error**2 for day in first]
    mean = math.fsum(w * day.difference for w, day in zip(weights, first, strict=True)) / math.fsum(weights)
    reference = mean - REFERENCE_ERRORS / math.sqrt(math.fsum(weights))
    if reference > 0:
        found = decay(later, reference)
        fires = found.alarm_day is not None
        said = f"treated minus held out was {mean:+.3g} in the first week; CUSUM since then {found.cusum[-1]:.1f}"
        yield Reading("holdout", "cusum", max(found.cusum), ALARM_AT, fires, said)


OUTCOME_ALARMS: tuple[Question[OutcomeFacts], ...] = (
    Question(
        "latency bias in outcomes", "verdict", "Claim of everybody assigned: who was in time is no fair sample", unshown_differ
    ),
    Question("decay of the win", "none", "Look what has changed since; measure it anew against the holdout", decayed),
)


def outcome_alarms(facts: OutcomeFacts) -> list[Alarm]:
    return [alarm(question, reading) for question in OUTCOME_ALARMS for reading in question.ask(facts)]
