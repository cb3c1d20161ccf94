"""The effect of a treatment on one metric: the difference, the relative lift, their intervals and the test.

Owns the estimate over strata: each counts by its share of both arms' people, so that a ramp, or weights that changed with a
version, cannot pass off a change of the mix as an effect (post-stratification; Miratrix, Sekhon and Yu, JRSS B 75 (2013)).
Refuses to guess: what the data carry no estimate of is None, never a NaN and never an interval of no width.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from scipy.special import ndtr, stdtr, stdtrit

from app.analysis.cells import LEAST_PEOPLE, Arm, Cell, Stratum
from app.analysis.proportions import Interval, upper_quantile, variance

# Beyond these a float has no room for squares and powers, and a relative figure says nothing.
SMALLEST_MEAN = 1e-30
LARGEST_LOG = 700.0
MetricKind = Literal["binary", "count", "continuous", "ratio"]


class Effect(NamedTuple):
    """Of the treatment against the control, in the strata where both have people.

    people: control, treatment. relative: 0.1 is +10 %. statistic: z of a binary metric (pooled), else Welch's t with `degrees`
    degrees of freedom. p: two-sided. left_out: people of strata in which the other arm has too few.
    """

    people: tuple[int, int]
    means: tuple[float, float]
    difference: float
    difference_ci: Interval | None
    relative: float | None
    relative_ci: Interval | None
    statistic: float
    degrees: float | None
    p: float
    error: float
    left_out: int


class _Side(NamedTuple):
    """One arm over all strata. parts: the variance's share of each stratum, for its degrees of freedom."""

    mean: float
    variance: float
    parts: list[tuple[float, int]]


def effect(control: Arm, treatment: Arm, kind: MetricKind, level: float) -> Effect | None:
    """level: 1 - confidence. None where no stratum has people enough in both arms."""
    strata = [stratum for stratum in control if _has_enough(control, stratum) and _has_enough(treatment, stratum)]
    if not strata:
        return None
    ours, theirs = [control[stratum] for stratum in strata], [treatment[stratum] for stratum in strata]
    sizes = [a.people + b.people for a, b in zip(ours, theirs, strict=True)]
    shares = [size / sum(sizes) for size in sizes]
    side = _ratio_side if kind == "ratio" else _binary_side if kind == "binary" else _mean_side
    a, b = side(ours, shares), side(theirs, shares)
    if a is None or b is None:
        return None
    difference, spread = b.mean - a.mean, a.variance + b.variance
    degrees = None if kind == "binary" else _degrees(a.parts + b.parts)
    statistic = _pooled_z(ours, theirs, shares, difference) if kind == "binary" else _score(difference, spread)
    quantile = _quantile(degrees, level)
    people = sum(cell.people for cell in ours), sum(cell.people for cell in theirs)
    everybody = sum(cell.people for arm in (control, treatment) for cell in arm.values())
    error = math.sqrt(spread)
    return Effect(
        people,
        (a.mean, b.mean),
        difference,
        (difference - quantile * error, difference + quantile * error) if error else None,
        difference / a.mean if a.mean > SMALLEST_MEAN else None,
        _log_ratio(a, b, kind, level),
        statistic,
        degrees,
        float(2 * ndtr(-abs(statistic)) if degrees is None else 2 * stdtr(degrees, -abs(statistic))),
        error,
        everybody - sum(people),
    )


def _has_enough(arm: Arm, stratum: Stratum) -> bool:
    return stratum in arm and arm[stratum].people >= LEAST_PEOPLE


def _mean_side(cells: Sequence[Cell], shares: Sequence[float]) -> _Side:
    mean = math.fsum(share * cell.mean_x for share, cell in zip(shares, cells, strict=True))
    return _side(mean, cells, shares, [cell.variance_x for cell in cells])


def _binary_side(cells: Sequence[Cell], shares: Sequence[float]) -> _Side:
    """Wald's: the variance of a rate follows from the rate."""
    mean = math.fsum(share * cell.mean_x for share, cell in zip(shares, cells, strict=True))
    return _side(mean, cells, shares, [variance(cell.mean_x) for cell in cells])


def _ratio_side(cells: Sequence[Cell], shares: Sequence[float]) -> _Side | None:
    """A ratio of means, by the delta method: Var(X/Y) is near Var(x - R y) / (n mean(y)^2). None without any event.

    Deng, Knoblich and Lu, KDD 2018.
    """
    bottom = math.fsum(share * cell.mean_y for share, cell in zip(shares, cells, strict=True))
    if not bottom > SMALLEST_MEAN:
        return None
    ratio = math.fsum(share * cell.mean_x for share, cell in zip(shares, cells, strict=True)) / bottom
    linear = [
        max(0.0, cell.variance_x - 2 * ratio * cell.covariance + ratio * ratio * cell.variance_y) / (bottom * bottom)
        for cell in cells
    ]
    return _side(ratio, cells, shares, linear)


def _side(mean: float, cells: Sequence[Cell], shares: Sequence[float], variances: Sequence[float]) -> _Side:
    parts = [
        (share * share * value / cell.people, cell.people) for share, cell, value in zip(shares, cells, variances, strict=True)
    ]
    return _Side(mean, math.fsum(part for part, _ in parts), parts)


def _pooled_z(ours: Sequence[Cell], theirs: Sequence[Cell], shares: Sequence[float], difference: float) -> float:
    """The score test: in each stratum both arms estimate one rate under the hypothesis, so they are pooled there."""
    spread = math.fsum(
        share
        * share
        * variance((a.people * a.mean_x + b.people * b.mean_x) / (a.people + b.people))
        * (1 / a.people + 1 / b.people)
        for a, b, share in zip(ours, theirs, shares, strict=True)
    )
    return _score(difference, spread)


def _score(difference: float, spread: float) -> float:
    """Nothing varies: the arms are equal, or they differ and nothing says how surely."""
    return difference / math.sqrt(spread) if spread > 0 else 0.0


def _degrees(parts: Sequence[tuple[float, int]]) -> float:
    """Welch and Satterthwaite, over the cells of both arms."""
    below = math.fsum(part * part / (people - 1) for part, people in parts)
    total = math.fsum(part for part, _ in parts)
    return total * total / below if below > 0 else float(sum(people - 1 for _, people in parts))


def _quantile(degrees: float | None, level: float) -> float:
    return upper_quantile(level / 2) if degrees is None else -float(stdtrit(degrees, level / 2))


def _log_ratio(a: _Side, b: _Side, kind: MetricKind, level: float) -> Interval | None:
    """The logarithm of the ratio is near normal with variance V_a / a^2 + V_b / b^2 (delta method); see proportions.py."""
    if not (min(a.mean, b.mean) > SMALLEST_MEAN and a.variance + b.variance > 0):
        return None
    parts = [(part / side.mean**2, people) for side in (a, b) for part, people in side.parts]
    degrees = None if kind == "binary" else _degrees(parts)
    error = _quantile(degrees, level) * math.sqrt(math.fsum(part for part, _ in parts))
    log_ratio = math.log(b.mean / a.mean)
    return (math.exp(log_ratio - error) - 1, math.exp(log_ratio + error) - 1) if error < LARGEST_LOG else None
