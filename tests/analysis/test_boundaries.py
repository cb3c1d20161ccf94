"""Boundaries: the printed tables, a simulation of their alpha, and how they must move with looks and alpha."""

import math
import time

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from app.analysis.boundaries import FARTHEST_Z, KINDS, MOST_LOOKS, Taken, boundary, boundary_at, crossing_chances
from app.errors import CallerError

# Two-sided alpha .05. K = 2 to 10 of Pocock and O'Brien-Fleming: Jennison and Turnbull (2000), tables 2.1 and 2.3.
POCOCK = {1: 1.960, 2: 2.178, 3: 2.289, 4: 2.361, 5: 2.413, 6: 2.453, 8: 2.512, 10: 2.555, 20: 2.672}
OBRIEN_FLEMING = {1: 1.960, 2: 1.977, 3: 2.004, 4: 2.024, 5: 2.040, 6: 2.053, 8: 2.072, 10: 2.087, 20: 2.126}


@pytest.mark.parametrize(
    ("kind", "printed"),
    [
        ("obrien-fleming", [4.5617, 3.2256, 2.6337, 2.2809, 2.0401]),
        ("pocock", [2.4132] * 5),
        ("lan-demets", [4.8769, 3.3570, 2.6803, 2.2898, 2.0310]),
    ],
)
def test_five_looks_are_as_printed(kind: str, printed: list[float]) -> None:
    assert boundary(kind, 5).z == pytest.approx(printed, abs=1e-4)


@pytest.mark.parametrize(("kind", "table"), [("pocock", POCOCK), ("obrien-fleming", OBRIEN_FLEMING)])
def test_the_tables_of_jennison_and_turnbull(kind: str, table: dict[int, float]) -> None:
    assert {looks: round(boundary(kind, looks).z[-1], 3) for looks in table} == table


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("looks", "alpha"), [(1, 0.05), (3, 0.5), (7, 0.01), (28, 0.1), (12, 1e-6), (50, 1 - 1e-6)])
def test_all_looks_together_spend_alpha(kind: str, looks: int, alpha: float) -> None:
    assert sum(crossing_chances(boundary(kind, looks, alpha).z)) == pytest.approx(alpha, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_one_look_is_the_usual_test(kind: str) -> None:
    assert boundary(kind, 1, 0.05).z == pytest.approx([norm.isf(0.025)], abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_two_looks_agree_with_the_bivariate_normal(kind: str) -> None:
    z = boundary(kind, 2).z
    both = multivariate_normal(cov=[[1, math.sqrt(0.5)], [math.sqrt(0.5), 1]])

    assert 1 - both.cdf(z, lower_limit=[-limit for limit in z]) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_simulation_errs_with_alpha(kind: str) -> None:
    """40,000 walks of five looks: the standard error of the share is .0011."""
    steps = np.random.default_rng(20_261_123).standard_normal((40_000, 5))
    z = np.abs(steps.cumsum(axis=1)) / np.sqrt(np.arange(1, 6))

    assert (z >= boundary(kind, 5).z).any(axis=1).mean() == pytest.approx(0.05, abs=0.0035)


@pytest.mark.parametrize("kind", KINDS)
def test_a_smaller_alpha_is_farther_out_at_every_look(kind: str) -> None:
    strict, loose = boundary(kind, 6, 0.01).z, boundary(kind, 6, 0.1).z

    assert all(far > near for far, near in zip(strict, loose, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_each_further_look_costs_at_the_last_one(kind: str) -> None:
    last = [boundary(kind, looks).z[-1] for looks in range(1, 9)]

    assert last == sorted(last)


def test_lan_demets_spends_at_each_look_what_its_function_says() -> None:
    spent = np.cumsum(crossing_chances(boundary("lan-demets", 4, 0.05).z))

    assert spent == pytest.approx([4 * norm.sf(norm.isf(0.0125) / math.sqrt(look / 4)) for look in range(1, 5)], abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_most_looks_are_quick_and_finite(kind: str) -> None:
    began = time.process_time()
    z = boundary(kind, 100).z

    assert time.process_time() - began < 10  # about one on an idle machine
    assert all(1.9 < limit < 25 for limit in z)
    assert kind != "lan-demets" or z[0] == FARTHEST_Z


DAYS = [day / 28 for day in range(7, 29)]  # daily looks of four weeks, none in the first


@pytest.mark.parametrize("kind", KINDS)
def test_looks_of_any_spacing_spend_alpha_together(kind: str) -> None:
    times = [0.1, 0.15, 0.151, 0.6, 1.0]

    assert sum(crossing_chances(boundary_at(kind, times, 0.05).z, times)) == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_simulation_of_uneven_looks_errs_with_alpha(kind: str) -> None:
    """40,000 walks of 22 looks: the standard error of the share is .0011."""
    steps = np.random.default_rng(20_261_124).standard_normal((40_000, len(DAYS))) * np.sqrt(np.diff([0, *DAYS]))
    z = np.abs(steps.cumsum(axis=1)) / np.sqrt(DAYS)

    assert (z >= boundary_at(kind, DAYS).z).any(axis=1).mean() == pytest.approx(0.05, abs=0.0035)


@pytest.mark.parametrize("kind", KINDS)
def test_looks_taken_as_planned_change_nothing_of_those_to_come(kind: str) -> None:
    planned = boundary_at(kind, DAYS).z
    taken = [Taken(time, z) for time, z in zip(DAYS[:5], planned, strict=False)]

    assert boundary_at(kind, DAYS[5:], taken=taken).z == pytest.approx(planned[5:], abs=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_by_hand_is_paid_by_those_to_come(kind: str) -> None:
    planned = boundary_at(kind, [0.5, 1.0]).z
    by_hand = Taken(0.45, 2.5)
    rest = boundary_at(kind, [0.5, 1.0], taken=[by_hand]).z

    assert rest[-1] > planned[-1]
    assert sum(crossing_chances([2.5, *rest], [0.45, 0.5, 1.0])) == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("kind", ["obrien-fleming", "pocock"])
def test_when_looks_by_hand_have_spent_everything_no_verdict_is_left(kind: str) -> None:
    with pytest.raises(CallerError, match="spent all of alpha"):
        boundary_at(kind, [1.0], 0.05, [Taken(0.5, 1.5)])


def test_a_spending_function_that_is_overdrawn_waits_until_it_is_due_again() -> None:
    assert boundary_at("lan-demets", [0.6, 1.0], 0.05, [Taken(0.5, 2.2)]).z[0] == FARTHEST_Z


@pytest.mark.parametrize("times", [[], [0.0, 1.0], [0.5, 0.5], [0.5, 0.4], [0.5, 1.1], [math.nan], [0.5, 0.50001]])
def test_times_that_do_not_grow_to_one_are_refused(times: list[float]) -> None:
    with pytest.raises(CallerError, match="look"):
        boundary_at("pocock", times)


@pytest.mark.parametrize("looks", [0, -1, MOST_LOOKS + 1])
def test_an_impossible_number_of_looks_is_refused(looks: int) -> None:
    with pytest.raises(CallerError, match=f"looks is {looks}"):
        boundary("pocock", looks)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 1 - 1.2e-16, math.nan])
def test_an_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(CallerError, match="alpha is"):
        boundary("lan-demets", 50, alpha)


def test_a_boundary_that_there_is_not_is_refused() -> None:
    with pytest.raises(CallerError, match="haybittle"):
        boundary("haybittle", 5)
