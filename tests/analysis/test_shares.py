"""Shares: scipy as the second implementation of SRM, PSI by hand, and their alarm levels."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from app.analysis.inputs import read_distribution, read_shares
from app.analysis.shares import psi, srm
from app.errors import CallerError

BINS = st.lists(st.integers(0, 1000), min_size=2, max_size=8).filter(any)


def as_shares(counts: list[int]) -> list[float]:
    return [count / sum(counts) for count in counts]


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 100)), min_size=2, max_size=6))
def test_scipy_says_the_same_of_srm(arms: list[tuple[int, int]]) -> None:
    observed, expected = [count for count, _ in arms], as_shares([weight for _, weight in arms])
    found = srm(observed, expected)

    chi2, p = chisquare(observed, [sum(observed) * share for share in expected])
    assert found.chi2 == pytest.approx(chi2, rel=1e-6, abs=1e-9)
    assert found.p == pytest.approx(p, rel=1e-6, abs=1e-12)


def test_the_alarm_sounds_below_its_level_and_not_before() -> None:
    # With one degree of freedom p is .0005 at chi2 = 12.116: 174.04 users off in each of two arms of 5,000.
    assert not srm([4827, 5173], [0.5, 0.5]).alarm
    assert srm([4825, 5175], [0.5, 0.5]).alarm
    assert srm([4825, 5175], [0.5, 0.5]).p < 0.0005 < srm([4827, 5173], [0.5, 0.5]).p


def test_an_exact_split_is_no_evidence_at_all() -> None:
    assert srm([300, 200, 500], [0.3, 0.2, 0.5]) == (0, 1, False)


@given(BINS)
def test_the_same_distribution_has_not_drifted(counts: list[int]) -> None:
    assert psi(as_shares(counts), as_shares(counts)) == (0, "stable")


@given(st.integers(2, 8).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 99), min_size=n, max_size=n).filter(any)] * 2)))
def test_drift_there_is_drift_back_and_always_a_number(both: tuple[list[int], list[int]]) -> None:
    there, back = psi(as_shares(both[0]), as_shares(both[1])), psi(as_shares(both[1]), as_shares(both[0]))

    assert there.psi == pytest.approx(back.psi)
    assert 0 <= there.psi < math.inf


@pytest.mark.parametrize(
    ("actual", "band"), [((0.5, 0.5), "stable"), ((0.64, 0.36), "stable"), ((0.7, 0.3), "moderate"), ((0.8, 0.2), "major")]
)
def test_psi_has_a_band(actual: tuple[float, float], band: str) -> None:
    found = psi((0.5, 0.5), actual)

    assert found.psi == pytest.approx((actual[0] - 0.5) * math.log(actual[0] / actual[1]))
    assert found.band == band


def test_thirds_written_by_hand_add_up() -> None:
    assert read_shares("0.3333333,0.3333333,0.3333333", "--expected") == pytest.approx((1 / 3,) * 3)


def test_a_distribution_is_of_counts_or_of_shares() -> None:
    assert read_distribution("20,30,50", "--actual") == read_distribution("0.2,0.3,0.5", "--actual") == (0.2, 0.3, 0.5)


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(CallerError, match="observed has 3 numbers and expected has 2"):
        srm([1, 2, 3], [0.5, 0.5])
    with pytest.raises(CallerError, match="actual has 3 numbers and expected has 2"):
        psi([0.5, 0.5], [0.2, 0.3, 0.5])
