"""exp and the normal distribution, beside the C library's and the standard library's."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.models.floats import exp, logistic, normal_cdf

CDF_ERROR = 1.2e-7


@given(st.floats(-700, 700))
def test_exp_is_within_one_unit_in_the_last_place(x: float) -> None:
    assert abs(exp(x) - math.exp(x)) <= math.ulp(math.exp(x))


@pytest.mark.parametrize(
    ("x", "bits"),
    [
        (0.0, "0x1.0000000000000p+0"),
        (1.0, "0x1.5bf0a8b14576ap+1"),
        (-1.0, "0x1.78b56362cef38p-2"),
        (0.1, "0x1.1aec7b35a00d4p+0"),
        (20.5, "0x1.7d6c4f0bcdd5cp+29"),
        (-300.25, "0x1.c758233102acep-434"),
    ],
)
def test_exp_has_the_same_bits_everywhere(x: float, bits: str) -> None:
    assert exp(x).hex() == bits


def test_exp_ends_at_bounds_instead_of_overflowing() -> None:
    assert exp(1e9) == exp(709.0) < math.inf
    assert exp(-1e9) == 0.0


@given(st.floats(-1e6, 1e6))
def test_logistic_is_a_probability_and_symmetric(x: float) -> None:
    assert 0.0 <= logistic(x) <= 1.0
    assert logistic(x) + logistic(-x) == pytest.approx(1, abs=1e-15)


@given(st.floats(-30, 30))
def test_the_normal_distribution_is_as_good_as_it_says(x: float) -> None:
    assert abs(normal_cdf(x) - NormalDist().cdf(x)) < CDF_ERROR
