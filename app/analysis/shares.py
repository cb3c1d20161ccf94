"""Shares against shares: did the arms get the users they should have (SRM), has a population drifted (PSI)?

Owns the two tests and their alarm levels. Refuses lists of different length: bins are compared one by one.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import chdtrc

from app.errors import CallerError

# Asked of every experiment, many times: at .0005 a false alarm stays rare (Fabijan et al., KDD 2019).
SRM_ALARM_P = 0.0005
# PSI at or above the limit is called by the name; the limits are the usual ones of credit scoring (Siddiqi 2006).
BANDS = ((0.25, "major"), (0.1, "moderate"), (0.0, "stable"))
# The logarithm of an empty bin has no value, so an empty bin counts as one in ten thousand.
EMPTY_SHARE = 1e-4


class Srm(NamedTuple):
    """Sample ratio mismatch. p: the chance of shares at least as far off if assignment were right."""

    chi2: float
    p: float
    alarm: bool


class Psi(NamedTuple):
    """Population stability index. band: stable | moderate | major."""

    psi: float
    band: str


def srm(observed: Sequence[int], expected: Sequence[float]) -> Srm:
    """Pearson's chi-square test of counts, one an arm, against the shares of the design, which add up to 1.

    sum (O - E)^2 / E with arms - 1 degrees of freedom. CallerError: lists of different length.
    """
    _same_length(observed, expected, "observed")
    total = sum(observed)
    chi2 = math.fsum((count - total * share) ** 2 / (total * share) for count, share in zip(observed, expected, strict=True))
    p = float(chdtrc(len(observed) - 1, chi2))
    return Srm(chi2, p, p < SRM_ALARM_P)


def psi(expected: Sequence[float], actual: Sequence[float]) -> Psi:
    """sum (actual - expected) ln(actual / expected) over the bins, both as shares. CallerError: lists of different length."""
    _same_length(actual, expected, "actual")
    pairs = [(max(was, EMPTY_SHARE), max(now, EMPTY_SHARE)) for was, now in zip(expected, actual, strict=True)]
    index = math.fsum((now - was) * math.log(now / was) for was, now in pairs)
    return Psi(index, next(name for limit, name in BANDS if index >= limit))


def _same_length(given: Sequence[float], expected: Sequence[float], name: str) -> None:
    if len(given) != len(expected):
        raise CallerError(
            f"{name} has {len(given)} numbers and expected has {len(expected)}", "Give one of each for every arm or bin"
        )
