"""The always-valid interval: its formula made twice, its coverage under constant watching, and how it must move."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from app.analysis.inputs import Arm
from app.analysis.proportions import relative_lift
from app.analysis.sequential import sequential
from app.errors import CallerError

ARMS = st.integers(1, 10**6).flatmap(lambda users: st.builds(Arm, st.integers(0, users), st.just(users)))
EXAMPLE = Arm(1000, 10000), Arm(1100, 10000)


def variance_of(control: Arm, treatment: Arm) -> float:
    rates = [((arm.conversions + 1) / (arm.users + 2), arm.users) for arm in (control, treatment)]
    return sum(rate * (1 - rate) / users for rate, users in rates)


@pytest.mark.parametrize(("alpha", "tuned_for"), [(0.05, 0.01), (0.01, 0.01), (0.05, 0.002), (0.1, 0.1)])
def test_at_its_ends_the_mixture_likelihood_ratio_is_one_over_alpha(alpha: float, tuned_for: float) -> None:
    halfwidth, error = sequential(*EXAMPLE, alpha, tuned_for).halfwidth, math.sqrt(variance_of(*EXAMPLE))

    def ratio(effect: float) -> float:
        there, here = norm.logpdf(halfwidth, effect, error), norm.logpdf(halfwidth, 0, error)
        return float(norm.pdf(effect, 0, tuned_for) * math.exp(there - here))

    mixture, _ = quad(ratio, -0.2, 0.2, points=[0, halfwidth], limit=500)
    assert mixture == pytest.approx(1 / alpha, rel=1e-5)


@given(ARMS, ARMS)
def test_it_is_the_asymptotic_confidence_sequence_of_waudby_smith(control: Arm, treatment: Arm) -> None:
    """Their form, with t = 1 and the mixture in units of the error: sqrt(2 (r + 1) / r ln(sqrt(r + 1) / alpha))."""
    spread = variance_of(control, treatment)
    r = 0.01**2 / spread

    theirs = math.sqrt(spread * 2 * (r + 1) / r * math.log(math.sqrt(r + 1) / 0.05))
    assert sequential(control, treatment).halfwidth == pytest.approx(theirs, rel=1e-9)


@given(ARMS, ARMS)
def test_it_is_an_interval_around_the_difference_that_turns_with_the_arms(control: Arm, treatment: Arm) -> None:
    there, back = sequential(control, treatment), sequential(treatment, control)

    assert there.diff == pytest.approx(treatment.rate - control.rate)
    assert there.ci == (there.diff - there.halfwidth, there.diff + there.halfwidth)
    assert 0 < there.halfwidth < math.inf
    assert (back.diff, back.halfwidth) == pytest.approx((-there.diff, there.halfwidth))


@given(ARMS, ARMS, st.integers(2, 50))
def test_more_of_the_same_users_narrow_it_and_a_smaller_alpha_widens_it(control: Arm, treatment: Arm, times: int) -> None:
    many = [Arm(arm.conversions * times, arm.users * times) for arm in (control, treatment)]

    assert sequential(*many).halfwidth < sequential(control, treatment).halfwidth
    assert sequential(control, treatment, 0.01).halfwidth > sequential(control, treatment, 0.1).halfwidth


def test_it_is_wider_than_the_interval_of_a_single_look() -> None:
    wald = relative_lift(*EXAMPLE).diff_ci

    assert wald is not None
    assert sequential(*EXAMPLE).halfwidth > (wald[1] - wald[0]) / 2


def test_arms_in_which_nothing_varied_are_not_certain() -> None:
    assert sequential(Arm(0, 10), Arm(0, 10)).halfwidth > 0.1


@pytest.mark.parametrize(("rate", "users", "tuned_for"), [(0.1, 1000, 0.01), (0.1, 10, 0.1), (0.5, 10, 0.1), (0.02, 50, 0.01)])
def test_watched_at_every_step_it_leaves_out_the_truth_at_most_in_alpha(rate: float, users: int, tuned_for: float) -> None:
    """500 A/A runs of 60 looks each. The bound is alpha and two standard errors."""
    growth = np.random.default_rng(20_261_123).binomial(users, rate, (500, 2, 60)).cumsum(axis=2)
    looks = [users * (look + 1) for look in range(60)]

    missed = sum(
        any(
            abs(control - treatment) / n > sequential(Arm(control, n), Arm(treatment, n), tuned_for=tuned_for).halfwidth
            for control, treatment, n in zip(*run.tolist(), looks, strict=True)
        )
        for run in growth
    )
    assert missed / 500 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 500)


@pytest.mark.parametrize("tuned_for", [0.0, -0.01, 2.0, math.nan])
def test_to_be_tuned_for_an_impossible_difference_is_refused(tuned_for: float) -> None:
    with pytest.raises(CallerError, match=f"tuned-for is {tuned_for}"):
        sequential(*EXAMPLE, tuned_for=tuned_for)
