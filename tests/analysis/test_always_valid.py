"""The effect that may be read every day: it errs as rarely as it says, finds what is there, and is the calculator's."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from app.analysis.always_valid import always_valid
from app.analysis.cells import Arm, Cell
from app.analysis.effect import Effect, effect
from app.analysis.inputs import Arm as Counted
from app.analysis.sequential import halfwidth_at, sequential

DAYS, USERS, RATE, RUNS = 28, 1_000, 0.10, 400
ALPHA = 0.05
Estimate = Callable[..., Effect | None]


def rate_cell(conversions: int, users: int) -> Arm:
    rate = conversions / users
    return {(1, 1): Cell(users, rate, rate * (1 - rate) * users / (users - 1), 0.0, 0.0, 0.0)}


def mean_cell(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Arm:
    return {(1, 1): Cell(len(values), float(values.mean()), float(values.var(ddof=1)), 0.0, 0.0, 0.0)}


def stopped(estimate: Estimate, lift: float = 0.0) -> float:
    """The share of runs with a claim on any of the days."""
    random = np.random.default_rng(20_261_123)
    control, treatment = (random.binomial(USERS, rate, (RUNS, DAYS)).cumsum(axis=1) for rate in (RATE, RATE * (1 + lift)))
    claims = 0
    for ours, theirs in zip(control.tolist(), treatment.tolist(), strict=True):
        people = range(USERS, USERS * (DAYS + 1), USERS)
        days = ((rate_cell(a, n), rate_cell(b, n)) for n, a, b in zip(people, ours, theirs, strict=True))
        claims += any(found.p <= ALPHA for a, b in days if (found := estimate(a, b, "binary", ALPHA)) is not None)
    return claims / RUNS


def test_looked_at_on_each_of_28_days_it_errs_at_most_as_it_says_and_a_usual_interval_does_not() -> None:
    assert stopped(always_valid) <= 0.065
    assert stopped(effect) > 0.2


def test_it_finds_a_lift_of_a_tenth_in_most_runs() -> None:
    assert stopped(always_valid, 0.10) > 0.75


def test_of_a_continuous_metric_it_errs_as_rarely() -> None:
    random = np.random.default_rng(20_261_124)
    claims = 0
    for _ in range(150):
        values = random.lognormal(2.0, 1.0, (2, DAYS * 100))
        days = ((mean_cell(values[0, : 100 * day]), mean_cell(values[1, : 100 * day])) for day in range(1, DAYS + 1))
        claims += any(found.p <= ALPHA for a, b in days if (found := always_valid(a, b, "continuous", ALPHA)) is not None)
    assert claims / 150 <= 0.065


@pytest.mark.parametrize(("conversions", "users"), [(1_100, 10_000), (1_200, 10_000), (90, 1_000)])
def test_it_is_the_interval_of_the_calculator(conversions: int, users: int) -> None:
    """Which adds one conversion and one other user to each arm: of thousands that is next to nothing."""
    found = always_valid(rate_cell(1_000, 10_000), rate_cell(conversions, users), "binary", ALPHA)
    assert found is not None
    assert found.difference_ci is not None
    assert found.difference_ci == pytest.approx(sequential(Counted(1_000, 10_000), Counted(conversions, users)).ci, rel=1e-2)


@pytest.mark.parametrize("conversions", [1_000, 1_080, 1_140, 1_150, 1_200, 1_400])
def test_p_is_below_alpha_exactly_where_the_interval_leaves_nothing_out(conversions: int) -> None:
    found = always_valid(rate_cell(1_000, 10_000), rate_cell(conversions, 10_000), "binary", ALPHA)
    assert found is not None
    assert found.difference_ci is not None
    low, high = found.difference_ci
    assert (found.p <= ALPHA) == (not low <= 0 <= high)
    assert (abs(found.statistic) >= 1.959964) == (found.p <= ALPHA)
    tight = halfwidth_at(found.error**2, 0.01, found.p)
    assert found.p == 1.0 or tight == pytest.approx(abs(found.difference), rel=1e-6)


def test_where_nothing_varies_nothing_is_sure() -> None:
    found = always_valid(rate_cell(0, 100), rate_cell(0, 100), "binary", ALPHA)
    assert found is not None
    assert (found.p, found.difference_ci) == (1.0, None)
    assert always_valid({}, {}, "binary", ALPHA) is None
    assert math.isfinite(found.statistic)
