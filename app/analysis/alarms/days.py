"""Missing days: a day without records, where days of the week like it had so many that none is no chance."""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from statistics import median

from app.analysis.alarms.alarm import Reading
from app.analysis.alarms.facts import Facts
from app.analysis.join import DAY_US
from app.analysis.looks import CYCLE_DAYS
from app.analysis.shares import SRM_ALARM_P

MOST_NAMED = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def missing(facts: Facts) -> Iterator[Reading]:
    """Days (UTC) between the first and the last with records of a kind: before and after, there may be nobody to come."""
    for kind, records in facts.days.items():
        days = range(max(min(records), facts.found.started_us // DAY_US), max(records) + 1)
        lacking = [day for day in days if not records.get(day) and _is_no_chance(records, days, day)]
        named = ", ".join((_EPOCH + timedelta(days=day)).date().isoformat() for day in lacking[:MOST_NAMED])
        said = f"{len(lacking)} of {len(days)} days without {kind}" + (f": {named}" if named else "")
        yield Reading(kind, "days", len(lacking), 0, bool(lacking), said)


def _is_no_chance(records: Mapping[int, int], days: range, day: int) -> bool:
    """The chance of none (Poisson), by the same weekday in other weeks, else by all other days. The median, since one busy day
    among quiet ones says nothing."""
    alike = [other for other in days if other != day and (other - day) % CYCLE_DAYS == 0] or [o for o in days if o != day]
    usual = median(records.get(other, 0) for other in alike) if alike else 0
    return math.exp(-usual) * len(days) < SRM_ALARM_P
