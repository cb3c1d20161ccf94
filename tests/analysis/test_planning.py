"""Power and sample size: statsmodels as the second implementation, each the inverse of the other, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.proportion import power_proportions_2indep, samplesize_proportions_2indep_onetail

from app.analysis.planning import power, sample_size
from app.errors import CallerError

RATES = st.floats(0.01, 0.99)
USERS = st.integers(10, 10**6)
ALPHAS = st.sampled_from([0.01, 0.05, 0.1])


def test_the_example_agrees_with_statsmodels() -> None:
    theirs = samplesize_proportions_2indep_onetail(0.005, 0.1, 0.8, alpha=0.025, alternative="larger")

    assert sample_size(0.1, 0.105, 0.8).n_per_arm == math.ceil(theirs) == 57_763


@given(RATES, RATES, USERS, ALPHAS)
def test_statsmodels_says_the_same_of_power(p1: float, p2: float, users: int, alpha: float) -> None:
    assume(abs(p2 - p1) > 1e-6)

    theirs = power_proportions_2indep(p2 - p1, p1, users, alpha=alpha).power
    assert power(p1, p2, users, alpha).power == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@given(RATES, RATES, st.floats(0.2, 0.99), ALPHAS)
def test_the_sample_size_is_the_fewest_users_with_that_power(p1: float, p2: float, wanted: float, alpha: float) -> None:
    assume(abs(p2 - p1) > 1e-4)
    users = sample_size(p1, p2, wanted, alpha).n_per_arm

    assert power(p1, p2, users, alpha).power >= wanted
    assert users == 1 or power(p1, p2, users - 1, alpha).power < wanted


@given(RATES, RATES, USERS)
def test_the_arms_may_be_swapped_and_more_users_never_hurt(p1: float, p2: float, users: int) -> None:
    assert power(p1, p2, users).power == pytest.approx(power(p2, p1, users).power)
    assert power(p1, p2, 2 * users).power >= power(p1, p2, users).power - 1e-12


def test_without_a_difference_power_is_alpha() -> None:
    assert power(0.1, 0.1, 5000, 0.05).power == pytest.approx(0.05)


def test_a_simulation_finds_the_difference_as_often() -> None:
    """20,000 experiments at the planned size: the standard error of the share is .0028."""
    users = sample_size(0.1, 0.12, 0.8).n_per_arm
    control, treatment = np.random.default_rng(20_261_123).binomial(users, [[0.1], [0.12]], (2, 20_000))
    pooled = (control + treatment) / (2 * users)
    z = (treatment - control) / users / np.sqrt(2 * pooled * (1 - pooled) / users)

    assert (np.abs(z) >= norm.isf(0.025)).mean() == pytest.approx(0.8, abs=0.01)


def test_rates_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(CallerError, match=r"tell 0\.1 from 0\.1"):
        sample_size(0.1, 0.1)
