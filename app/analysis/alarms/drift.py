"""Drift: are the people of later weeks those of the first, and is the holdout as large as it was?

PSI says how far, but of few people it is far by chance (its mean without any drift is near (bins - 1)(1/n + 1/m)); so a drift
must be beyond chance too, by chi-square of the same counts.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator

from app.analysis.alarms.alarm import Reading
from app.analysis.alarms.chi2 import dependence, together
from app.analysis.alarms.facts import Facts
from app.analysis.shares import BANDS, SRM_ALARM_P, psi

MODERATE = next(limit for limit, name in BANDS if name == "moderate")


def covariate(dimension: str) -> Callable[[Facts], Iterator[Reading]]:
    """Where people were shown it: the first week against all later ones. Moderate is an alarm; it is said when it is major."""

    def ask(facts: Facts) -> Iterator[Reading]:
        found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for row in facts.shown:
            if row.dimension == dimension:
                early, late = found[row.segment]
                found[row.segment] = (early + row.people, late) if row.early else (early, late + row.people)
        first, later = (sum(counts) for counts in zip(*found.values(), strict=True)) if found else (0, 0)
        if len(found) < 2 or not (first and later):
            return
        index = psi([early / first for early, _ in found.values()], [late / later for _, late in found.values()])
        fires = index.psi >= MODERATE and _beyond_chance(list(found.values()))
        yield Reading(dimension, "psi", index.psi, MODERATE, fires, f"{dimension}: PSI {index.psi:.3f}, {index.band}")

    return ask


def holdout(facts: Facts) -> Iterator[Reading]:
    """The share of the held out, week by week within each step of the ramp."""
    steps: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for row in facts.holdout:
        steps[row.phase][row.week][row.held_out] += row.people
    weeks = sum(len(found) for found in steps.values())
    test = together([dependence(list(found.values())) for found in steps.values()])
    if test is not None:
        said = f"the share of the held out over {weeks} weeks: p = {test.p:.2g}"
        yield Reading("holdout", "p", test.p, SRM_ALARM_P, test.p < SRM_ALARM_P, said)


def _beyond_chance(rows: list[tuple[int, int]]) -> bool:
    """Bins of few people are taken together, as chi-square asks for."""
    rows = sorted(rows, key=sum, reverse=True)
    while len(rows) > 1:
        test = dependence(rows)
        if test is not None:
            return test.p < SRM_ALARM_P
        *rows, last, least = rows
        rows.append((last[0] + least[0], last[1] + least[1]))
    return False
