"""When the results of an experiment may be looked at, and how far out they must be then.

Owns the plan that a policy's stop_rules make: the planned looks, and how much of alpha may be spent up to any moment. Refuses a
look before whole weeks of the minimum duration, and after the horizon.

The plan spends by the calendar; what a look rests on (users so far) is what has really come by then, so that a ramp, a slow
week or a missed look changes no error rate (Lan and DeMets, Biometrics 45 (1989)). A look by hand between two planned ones
takes what is due by then, in proportion: the looks after it have that much less.

With the boundary `always_valid` nothing is spent: from the minimum duration on, any moment is a look, and the interval of the
effect is a confidence sequence (always_valid.py).
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from app.analysis.boundaries import boundary_at, crossing_chances, limits_spending
from app.errors import CallerError

# Users of a Sunday are not those of a Monday: no verdict before all days of the week have been seen equally often.
CYCLE_DAYS = 7
DAY = timedelta(days=1)
ALWAYS_VALID = "always_valid"


class StopRules(NamedTuple):
    """The policy's own. looks_utc: the time of day of the daily look, (hour, minute)."""

    min_days: int
    horizon_days: int
    min_exposed_per_arm: int
    looks_utc: tuple[int, int]
    boundary: str
    alpha: float


class Look(NamedTuple):
    """One that was made. information: what it rested on (users, or 1 / variance), in the unit of the other looks."""

    at: datetime
    information: float


class LookPlan(NamedTuple):
    """planned: the looks, in order; due: the alpha that may be spent up to each of them.

    is_free: between the first of them and the last, which are the only ones then, any moment is a look, with all of alpha.
    """

    started: datetime
    planned: tuple[datetime, ...]
    due: tuple[float, ...]
    is_free: bool = False

    def is_planned(self, at: datetime) -> bool:
        return at in self.planned

    def next_after(self, at: datetime) -> datetime | None:
        """The first planned look that is later; None after the horizon."""
        index = bisect_right(self.planned, at)
        return self.planned[index] if index < len(self.planned) else None

    def due_at(self, at: datetime) -> float:
        """The alpha that may be spent up to this moment: between planned looks in proportion to the time."""
        index = bisect_right(self.planned, at)
        if index == len(self.planned):
            return self.due[-1]
        before = (self.started, 0.0) if index == 0 else (self.planned[index - 1], self.due[index - 1])
        share = max(0.0, (at - before[0]) / (self.planned[index] - before[0]))
        return before[1] + share * (self.due[index] - before[1])

    def limits(self, looks: Sequence[Look]) -> list[float]:
        """The z that each look made so far, planned or by hand, had to reach.

        CallerError: looks out of order, or one that rests on no more than the one before it.
        """
        if any(later.at <= earlier.at for earlier, later in pairwise(looks)):
            raise CallerError("the looks are not in the order of time", "Give each look once, oldest first")
        return limits_spending([look.information for look in looks], [self.due_at(look.at) for look in looks])


def look_plan(rules: StopRules, started: datetime) -> LookPlan:
    """The daily looks from the end of the minimum duration, in whole weeks, to the horizon.

    started: the first moment that users could be exposed, with a zone. CallerError: a horizon without a look.
    """
    first = started.astimezone(UTC) + DAY * CYCLE_DAYS * math.ceil(rules.min_days / CYCLE_DAYS)
    horizon = started.astimezone(UTC) + DAY * rules.horizon_days
    hour, minute = rules.looks_utc
    look = first.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if look < first:
        look += DAY
    planned = []
    while look <= horizon:
        planned.append(look)
        look += DAY
    # Users that come on the last day are looked at too.
    if not planned or planned[-1] < horizon:
        planned.append(horizon)
    if planned[0] < first:
        raise CallerError(
            f"the horizon of {rules.horizon_days} days ends before {math.ceil(rules.min_days / CYCLE_DAYS)} whole weeks",
            f"Plan a horizon_days of at least min_days in whole weeks of {CYCLE_DAYS} days",
        )
    if rules.boundary == ALWAYS_VALID:
        ends = (planned[0], planned[-1])
        return LookPlan(started, ends, (rules.alpha,) * len(ends), is_free=True)
    times = tuple((look - started) / (horizon - started) for look in planned)
    return LookPlan(started, tuple(planned), _cumulative(rules.boundary, times, rules.alpha))


@cache
def _cumulative(kind: str, times: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """The alpha that the boundary of this kind spends up to each of its looks."""
    spent, total = [], 0.0
    for chance in crossing_chances(boundary_at(kind.replace("_", "-"), times, alpha).z, times):
        total += chance
        spent.append(total)
    spent[-1] = alpha
    return tuple(spent)
