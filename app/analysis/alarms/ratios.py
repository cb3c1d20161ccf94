"""Sizes of arms against what was drawn, and acknowledgements of arms against each other."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from app.analysis.alarms.alarm import Reading
from app.analysis.alarms.chi2 import LEAST_EXPECTED, dependence
from app.analysis.alarms.facts import Facts, Shown
from app.analysis.arms import HELD_OUT, Sizes, expected_sizes, mismatch
from app.analysis.cells import Stratum
from app.analysis.shares import SRM_ALARM_P


def never_acknowledged(facts: Facts) -> Iterator[Reading]:
    """An arm of which nobody was ever shown anything, while others are: its slot does not acknowledge."""
    assigned, exposed = _by_arm(facts.assigned), _by_arm(facts.exposed)
    for arm in facts.found.arms:
        others = [name for name in facts.found.arms if name != arm]
        base = sum(assigned[name] for name in others)
        acknowledged = sum(exposed[name] for name in others)
        if not (assigned[arm] and acknowledged):
            continue
        # Laplace's: all of three people are no certainty. Exposures of other days may be more than the people of these.
        rate = (min(acknowledged, base) + 1) / (base + 2)
        # The chance of none among so many, were this arm acknowledged as the others are.
        p = math.exp(assigned[arm] * math.log1p(-rate))
        none = exposed[arm] == 0
        said = f"{exposed[arm]:,} of {assigned[arm]:,} people of {arm} were shown it, {rate:.1%} of the other arms"
        yield Reading(arm, "p", p if none else 1.0, SRM_ALARM_P, none and p < SRM_ALARM_P, said)


def sample_ratio(facts: Facts) -> Iterator[Reading]:
    for population, sizes in (("assigned", facts.assigned), ("exposed", facts.exposed)):
        if population == "exposed" and facts.found.is_about_timing:
            continue  # arms that act at different times are rightly exposed to different numbers
        test = mismatch(facts.found, sizes)
        if test is not None:
            are = "are not" if test.alarm else "are"
            said = f"the arms of the {population} {are} as large as their weights say (p = {test.p:.2g})"
            yield Reading(population, "p", test.p, SRM_ALARM_P, test.alarm, said)


def acknowledged_alike(facts: Facts) -> Iterator[Reading]:
    """Shown or not, of those assigned, by arm."""
    if facts.found.is_about_timing:
        return
    assigned, exposed = _by_arm(facts.assigned), _by_arm(facts.exposed)
    arms = [arm for arm in facts.found.arms if assigned[arm]]
    test = dependence([[exposed[arm], assigned[arm] - exposed[arm]] for arm in arms])
    if test is not None:
        shares = ", ".join(f"{arm} {exposed[arm] / assigned[arm]:.1%}" for arm in arms)
        said = f"acknowledgements per assigned person: {shares} (p = {test.p:.2g})"
        yield Reading("exposed", "p", test.p, SRM_ALARM_P, test.p < SRM_ALARM_P, said)


def ratio_within_phase(facts: Facts) -> Iterator[Reading]:
    parts: dict[str, dict[tuple[Stratum, str], int]] = defaultdict(dict)
    for (stratum, arm), people in facts.assigned.items():
        parts[f"{stratum[0]}/{stratum[1]}"][stratum, arm] = people
    yield from _worst("phase", facts, parts)


def ratio_within(dimension: str) -> Callable[[Facts], Iterator[Reading]]:
    """Of exposures: before one nobody knows device, locale and route."""

    def ask(facts: Facts) -> Iterator[Reading]:
        if not facts.found.is_about_timing:
            yield from _worst(dimension, facts, _segments(row for row in facts.shown if row.dimension == dimension))

    return ask


def _segments(rows: Iterable[Shown]) -> dict[str, dict[tuple[Stratum, str], int]]:
    found: dict[str, dict[tuple[Stratum, str], int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        found[row.segment][row.stratum, row.arm] += row.people
    return found


def _worst(dimension: str, facts: Facts, parts: Mapping[str, Sizes]) -> Iterator[Reading]:
    """The segment that is furthest off; its p is multiplied by the number of segments (Bonferroni)."""
    tests = {}
    for segment, sizes in parts.items():
        expected = [people for people in expected_sizes(facts.found, sizes).values() if people > 0]
        if len(expected) > 1 and min(expected) >= LEAST_EXPECTED and (test := mismatch(facts.found, sizes)) is not None:
            tests[segment] = test
    if tests:
        segment, test = min(tests.items(), key=lambda found: found[1].p)
        p = min(1.0, test.p * len(tests))
        said = f"{dimension} {segment}: arms {'not ' if p < SRM_ALARM_P else ''}as large as drawn (p = {p:.2g} of {len(tests)})"
        yield Reading(dimension, "p", p, SRM_ALARM_P, p < SRM_ALARM_P, said)


def _by_arm(sizes: Sizes) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for (_, arm), people in sizes.items():
        if arm != HELD_OUT:
            found[arm] += people
    return found
