"""Planning two equal arms: the power of a number of users, and the number of users for a power.

Owns the plan for the very test that is made later (the pooled z test, two-sided, one look). Refuses to plan what cannot be
measured: equal rates, or more users than anyone has.
"""

import math
from typing import NamedTuple

from scipy.special import ndtr

from app.analysis.inputs import LARGEST_NUMBER, check_alpha, check_rate
from app.analysis.proportions import upper_quantile, variance
from app.errors import CallerError


class Power(NamedTuple):
    """The chance of finding the difference, in either direction."""

    power: float


class SampleSize(NamedTuple):
    """Users in each of the two arms."""

    n_per_arm: int


def power(p1: float, p2: float, n_per_arm: int, alpha: float = 0.05) -> Power:
    """CallerError: a rate or alpha out of its range, or nobody in an arm."""
    _check(p1, p2, alpha)
    if not 1 <= n_per_arm <= LARGEST_NUMBER:
        raise CallerError(f"n-per-arm is {n_per_arm}", f"Give from 1 to {LARGEST_NUMBER:g} users an arm")
    return Power(_power(p1, p2, n_per_arm, alpha))


def sample_size(p1: float, p2: float, wanted: float = 0.8, alpha: float = 0.05) -> SampleSize:
    """The fewest users an arm with the wanted power. It grows with the users, so halving finds them exactly.

    CallerError: a rate, alpha or the power out of its range, or a difference too small for any number of users.
    """
    _check(p1, p2, alpha)
    if not alpha < wanted < 1:
        raise CallerError(f"power is {wanted}", f"Give a number above alpha ({alpha}) and below 1, such as 0.8")
    most = int(LARGEST_NUMBER)
    if _power(p1, p2, most, alpha) < wanted:
        raise CallerError(f"no {LARGEST_NUMBER:g} users an arm tell {p1} from {p2}", "Plan for a larger difference")
    fewest = 1
    while fewest < most:
        middle = (fewest + most) // 2
        if _power(p1, p2, middle, alpha) < wanted:
            fewest = middle + 1
        else:
            most = middle
    return SampleSize(fewest)


def _check(p1: float, p2: float, alpha: float) -> None:
    check_rate(p1, "p1")
    check_rate(p2, "p2")
    check_alpha(alpha)


def _power(p1: float, p2: float, users: int, alpha: float) -> float:
    """Phi((|d| sqrt n - z s0) / s1) + Phi((-|d| sqrt n - z s0) / s1), with z at alpha / 2.

    The test's own error is the pooled s0 = sqrt(2 p (1 - p)), the truth varies with s1 = sqrt(p1 (1 - p1) + p2 (1 - p2)).
    Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, ch. 4, without continuity correction.
    """
    pooled, unpooled = math.sqrt(2 * variance((p1 + p2) / 2)), math.sqrt(variance(p1) + variance(p2))
    hurdle, signal = upper_quantile(alpha / 2) * pooled, abs(p2 - p1) * math.sqrt(users)
    return float(ndtr((signal - hurdle) / unpooled) + ndtr((-signal - hurdle) / unpooled))
