"""A model's alarms: have its scores or its features drifted since the first week, are its scores alike in both arms, and does
what it predicts come true?

PSI says how far, chi-square of the same counts that it is beyond chance (as in drift.py). Calibration: the expected calibration
error says how far (Naeini et al., AAAI 2015), Hosmer and Lemeshow's statistic (2000) that it is beyond chance; with as many
degrees of freedom as groups, since the model was fitted to other data.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from scipy.special import chdtrc

from app.analysis.alarms.alarm import Reading
from app.analysis.alarms.chi2 import LEAST_EXPECTED, dependence
from app.analysis.alarms.facts import Facts
from app.analysis.alarms.scored import BINS, Cell, Daily
from app.analysis.shares import BANDS, SRM_ALARM_P, psi

MODERATE = next(limit for limit, name in BANDS if name == "moderate")
# Predictions that are off by less than this on average change hardly a decision.
MOST_CALIBRATION_ERROR = 0.05
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Drift:
    """One day against the days of reference."""

    def __init__(self, day: int, before: Sequence[int], now: Sequence[int]) -> None:
        self.day = day
        self.decisions = sum(now)
        self.psi = psi([n / sum(before) for n in before], [n / self.decisions for n in now]).psi
        test = dependence(_merged(before, now))
        self.p = 1.0 if test is None else test.p

    @property
    def date(self) -> str:
        return (_EPOCH + timedelta(days=self.day)).date().isoformat()


def drifts(found: Daily) -> list[Drift]:
    """Every full day after the reference that has decisions."""
    reference = range(found.reference.first, found.reference.last + 1)
    before = [sum(column) for column in zip(*(found.days[day] for day in reference if day in found.days), strict=True)]
    if not sum(before):
        return []
    later = range(found.reference.last + 1, found.complete + 1)
    return [Drift(day, before, found.days[day]) for day in later if sum(found.days.get(day, ()))]


def drifted(of: Callable[[Facts], Sequence[Daily]], what: str) -> Callable[[Facts], Iterator[Reading]]:
    """The day that is furthest off. Its p is multiplied by the number of days (Bonferroni)."""

    def ask(facts: Facts) -> Iterator[Reading]:
        for daily in of(facts):
            found = drifts(daily)
            if found:
                beyond = [one for one in found if one.p * len(found) < SRM_ALARM_P]
                worst = max(beyond or found, key=lambda one: one.psi)
                fires = worst in beyond and worst.psi >= MODERATE
                said = f"{what} {daily.name}: PSI {worst.psi:.3f} on {worst.date}, the furthest of {len(found)} days"
                yield Reading(daily.name, "psi", worst.psi, MODERATE, fires, said)

    return ask


def alike_in_arms(facts: Facts) -> Iterator[Reading]:
    """Who chooses is drawn, so it can have nothing to do with the score."""
    for daily in facts.scores:
        if len(daily.by_arm) > 1:
            test = dependence(_merged(*daily.by_arm.values()))
            if test is not None:
                said = f"scores of {daily.name} by who chose: p = {test.p:.2g}"
                yield Reading(daily.name, "p", test.p, SRM_ALARM_P, test.p < SRM_ALARM_P, said)


def calibrated(facts: Facts) -> Iterator[Reading]:
    groups = grouped(facts.calibration)
    people = sum(group.people for group in groups)
    if len(groups) < 2:
        return
    error = sum(abs(group.expected - group.came) for group in groups) / people
    statistic = sum((g.came - g.expected) ** 2 / (g.expected * (1 - g.expected / g.people)) for g in groups)
    p = float(chdtrc(len(groups), statistic))
    expected, came = (sum(group[part] for group in groups) / people for part in (1, 2))
    said = (
        f"of {people:,} shown it {came:.1%} converted, {expected:.1%} were predicted; off by {error:.1%} on average "
        f"over {len(groups)} groups of scores (p = {p:.2g})"
    )
    fires = error >= MOST_CALIBRATION_ERROR and p < SRM_ALARM_P
    yield Reading("primary", "share", error, MOST_CALIBRATION_ERROR, fires, said)


def grouped(cells: Sequence[Cell]) -> list[Cell]:
    """Neighbours taken together to about ten groups of as many people, each with enough expected to come and to stay away."""
    least = sum(cell.people for cell in cells) / BINS
    groups: list[Cell] = []
    rest = Cell(0, 0.0, 0)
    for cell in cells:
        rest = _sum(rest, cell)
        if rest.people >= least and min(rest.expected, rest.people - rest.expected) >= LEAST_EXPECTED:
            groups.append(rest)
            rest = Cell(0, 0.0, 0)
    if rest.people and groups:
        groups[-1] = _sum(groups[-1], rest)
    return groups


def _sum(one: Cell, other: Cell) -> Cell:
    return Cell(one.people + other.people, one.expected + other.expected, one.came + other.came)


def _merged(*rows: Sequence[int]) -> list[list[int]]:
    """The rows with neighbouring bins taken together until chi-square holds for each."""
    everybody = sum(map(sum, rows))
    smallest = min(map(sum, rows))
    merged: list[list[int]] = []
    rest = [0] * len(rows)
    for column in zip(*rows, strict=True):
        rest = [a + b for a, b in zip(rest, column, strict=True)]
        if everybody and sum(rest) * smallest >= LEAST_EXPECTED * everybody:
            merged.append(rest)
            rest = [0] * len(rows)
    if merged:
        merged[-1] = [a + b for a, b in zip(merged[-1], rest, strict=True)]
    return [list(row) for row in zip(*merged, strict=True)] if merged else [list(row) for row in rows]
