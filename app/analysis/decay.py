"""Does a lift that was shown still hold? The difference between treated and held out, day by day, against what it was.

Owns the one-sided CUSUM of daily differences. Refuses to say why: seasons, saturation and a broken client look alike here.

Page, Biometrika 41 (1954): C = max(0, C + (reference - difference) / error - ALLOWANCE), alarm at C >= ALARM_AT. An allowance
of half a standard error is best for a loss of one (Montgomery, Statistical Quality Control, ch. 9).
"""

from collections.abc import Sequence
from typing import NamedTuple

from app.errors import CallerError

ALLOWANCE = 0.5
# While nothing changes an alarm comes once in some 19,000 days, so in a quarter with a chance of half a percent. A loss of
# two standard errors of a day is seen after some five days, of one after some sixteen.
ALARM_AT = 8.0


class Day(NamedTuple):
    """difference: of the means, treated minus held out, of users who came that day; error: its standard error."""

    difference: float
    error: float


class Decay(NamedTuple):
    """cusum: after each day; alarm_day: the first day with an alarm, counted from 0, or None."""

    cusum: list[float]
    alarm_day: int | None


def decay(days: Sequence[Day], reference: float) -> Decay:
    """reference: the difference as it was when the claim was made. CallerError: a day whose error is not positive."""
    total, sums = 0.0, []
    for number, day in enumerate(days):
        if not 0 < day.error < float("inf"):
            raise CallerError(
                f"day {number} has a standard error of {day.error}", "Leave out days without users in both groups"
            )
        total = max(0.0, total + (reference - day.difference) / day.error - ALLOWANCE)
        sums.append(total)
    return Decay(sums, next((number for number, value in enumerate(sums) if value >= ALARM_AT), None))
