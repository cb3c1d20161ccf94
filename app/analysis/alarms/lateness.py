"""Latency bias: who is in time must not depend on the arm; where it depends on the user, those in time are not everybody."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from app.analysis.alarms.alarm import Reading
from app.analysis.alarms.chi2 import dependence
from app.analysis.alarms.facts import Facts
from app.analysis.shares import SRM_ALARM_P

Counts = dict[str, tuple[int, int]]


def decided_in_time(facts: Facts) -> Iterator[Reading]:
    yield from _reading("decided in time", {arm: facts.decided[arm] for arm in facts.found.arms if arm in facts.decided})


def rendered_in_time(facts: Facts) -> Iterator[Reading]:
    """Every dimension holds every exposure: one of them is enough."""
    yield from _reading("rendered in time", _in_time(facts, "device", lambda row: row.arm))


def in_time_by(dimension: str) -> Callable[[Facts], Iterator[Reading]]:
    def ask(facts: Facts) -> Iterator[Reading]:
        yield from _reading(f"in time by {dimension}", _in_time(facts, dimension, lambda row: row.segment))

    return ask


def _in_time(facts: Facts, dimension: str, of: Callable[..., str]) -> Counts:
    found: Counts = defaultdict(lambda: (0, 0))
    for row in facts.shown:
        if row.dimension == dimension and row.in_time is not None:
            in_time, late = found[of(row)]
            found[of(row)] = (in_time + row.people, late) if row.in_time else (in_time, late + row.people)
    return found


def _reading(subject: str, counts: Counts) -> Iterator[Reading]:
    test = dependence(list(counts.values()))
    if test is not None:
        shares = ", ".join(f"{name} {late / (in_time + late):.1%}" for name, (in_time, late) in counts.items())
        yield Reading(subject, "p", test.p, SRM_ALARM_P, test.p < SRM_ALARM_P, f"late: {shares} (p = {test.p:.2g})")
