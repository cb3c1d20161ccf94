"""Rates of what should hardly ever be: crossovers, rerolls, identities that break, exposures twice or out of nowhere.

People and records concerned are out of every comparison already; at these rates who is left is no fair sample any more.
"""

from collections.abc import Iterator

from scipy.special import bdtrc

from app.analysis.alarms.alarm import Reading
from app.analysis.alarms.facts import Facts
from app.analysis.shares import SRM_ALARM_P

MOST_CROSSOVERS = 0.01
# Nobody is ever moved but by a version that says so: a few may stem from before an upgrade, more are a broken store.
MOST_REROLLED = 0.001
MOST_RE_IDENTIFIED = 0.05
MOST_DUPLICATES = 0.01
MOST_WITHOUT_DECISION = 0.001
MOST_HELD_OUT_SHOWN = 0.001


def crossovers(facts: Facts) -> Iterator[Reading]:
    yield from _share("people", facts.counts.crossovers, facts.totals.people, MOST_CROSSOVERS, "people had two arms by login")


def rerolled(facts: Facts) -> Iterator[Reading]:
    moved = sum(units for version, units in facts.rerolled.items() if version not in facts.found.reassigning)
    yield from _share("people", moved, facts.totals.people, MOST_REROLLED, "units were moved to another arm")


def re_identified(facts: Facts) -> Iterator[Reading]:
    broken = facts.counts.re_identified
    yield from _share("people", broken, facts.totals.people, MOST_RE_IDENTIFIED, "people were drawn for more than once")


def duplicates(facts: Facts) -> Iterator[Reading]:
    again = facts.counts.duplicate_exposures
    yield from _share(
        "exposures", again, facts.totals.exposures, MOST_DUPLICATES, "exposures repeat another of their assignment"
    )


def without_decision(facts: Facts) -> Iterator[Reading]:
    alone = facts.counts.exposures_without_decision
    yield from _share("exposures", alone, facts.totals.exposures, MOST_WITHOUT_DECISION, "exposures have no decision")


def held_out_shown(facts: Facts) -> Iterator[Reading]:
    leaked = facts.totals.held_out_shown
    yield from _share("holdout", leaked, facts.totals.held_out, MOST_HELD_OUT_SHOWN, "held-out people were shown something")


def _share(subject: str, count: int, of: int, bound: float, what: str) -> Iterator[Reading]:
    """Fires where so many would hardly ever be met at the bound (binomial): one of five says nothing of one in a hundred."""
    if of:
        chance = float(bdtrc(count - 1, of, bound)) if count else 1.0
        share = count / of
        yield Reading(subject, "share", share, bound, chance < SRM_ALARM_P, f"{count:,} of {of:,} {what} ({share:.2%})")
