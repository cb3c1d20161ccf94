"""Two proportions: known values, symmetries, statsmodels as the second implementation, and where there is no estimate."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from app.analysis.inputs import Arm
from app.analysis.proportions import relative_lift
from app.errors import CallerError

ARMS = st.integers(10, 10**6).flatmap(lambda users: st.builds(Arm, st.integers(1, users - 1), st.just(users)))


def test_the_example_by_hand() -> None:
    found = relative_lift(Arm(1000, 10000), Arm(1100, 10000))

    assert found.diff == pytest.approx(0.01)
    assert found.diff_ci == pytest.approx((0.0015041, 0.0184959), abs=1e-7)
    assert found.relative_lift == pytest.approx(0.1)
    assert found.relative_lift_ci == pytest.approx((0.0143855, 0.1928404), abs=1e-7)
    assert found.z == pytest.approx(2.30664, abs=1e-5)
    assert found.p == pytest.approx(0.021075, abs=1e-6)


@given(ARMS, ARMS)
def test_statsmodels_says_the_same(control: Arm, treatment: Arm) -> None:
    found = relative_lift(control, treatment)

    z, p = proportions_ztest([treatment.conversions, control.conversions], [treatment.users, control.users])
    assert found.z == pytest.approx(z, rel=1e-6, abs=1e-9)
    assert found.p == pytest.approx(p, rel=1e-6, abs=1e-12)
    pair = (treatment.conversions, treatment.users, control.conversions, control.users)
    assert found.diff_ci == pytest.approx(confint_proportions_2indep(*pair, method="wald", compare="diff"), rel=1e-6, abs=1e-12)
    low, high = confint_proportions_2indep(*pair, method="log", compare="ratio")
    assert found.relative_lift_ci == pytest.approx((low - 1, high - 1), rel=1e-6, abs=1e-9)


@given(ARMS, ARMS)
def test_to_swap_the_arms_turns_the_sign_and_mirrors_the_ratio(control: Arm, treatment: Arm) -> None:
    there, back = relative_lift(control, treatment), relative_lift(treatment, control)

    assert back.diff == -there.diff
    assert back.z == pytest.approx(-there.z)
    assert back.p == pytest.approx(there.p)
    assert there.relative_lift_ci is not None
    assert back.relative_lift_ci is not None
    assert 1 + back.relative_lift_ci[0] == pytest.approx(1 / (1 + there.relative_lift_ci[1]))


@given(ARMS, ARMS, st.integers(2, 50))
def test_more_of_the_same_users_narrow_every_interval(control: Arm, treatment: Arm, times: int) -> None:
    few = relative_lift(control, treatment)
    many = relative_lift(
        Arm(control.conversions * times, control.users * times), Arm(treatment.conversions * times, treatment.users * times)
    )

    assert many.diff == pytest.approx(few.diff)
    for wide, narrow in ((few.diff_ci, many.diff_ci), (few.relative_lift_ci, many.relative_lift_ci)):
        assert wide is not None
        assert narrow is not None
        assert narrow[1] - narrow[0] < wide[1] - wide[0]


@pytest.mark.parametrize("converted", [0, 50])
def test_where_nothing_varies_there_is_no_interval_and_no_evidence(converted: int) -> None:
    found = relative_lift(Arm(converted, 50), Arm(converted, 50))

    assert (found.diff, found.z, found.p) == (0, 0, 1)
    assert found.diff_ci is None
    assert found.relative_lift_ci is None
    assert found.relative_lift == (0 if converted else None)


def test_a_control_without_conversions_has_a_difference_and_no_ratio() -> None:
    found = relative_lift(Arm(0, 100), Arm(9, 100))

    assert found.relative_lift is None
    assert found.relative_lift_ci is None
    assert found.diff_ci is not None
    assert math.isfinite(found.z)


def test_a_treatment_without_conversions_lost_everything() -> None:
    assert relative_lift(Arm(9, 100), Arm(0, 100)).relative_lift == -1


def test_a_smaller_alpha_gives_a_wider_interval() -> None:
    arms = Arm(1000, 10000), Arm(1100, 10000)
    wide, narrow = relative_lift(*arms, alpha=0.01).diff_ci, relative_lift(*arms, alpha=0.1).diff_ci

    assert wide is not None
    assert narrow is not None
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.05, math.nan, math.inf, 1e-320])
def test_an_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(CallerError, match=f"alpha is {alpha}"):
        relative_lift(Arm(1, 10), Arm(1, 10), alpha)
