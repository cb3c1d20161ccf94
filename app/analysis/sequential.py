"""An always-valid interval of the difference: to be read at any time, any number of times, and to be stopped by.

Owns the normal-mixture confidence sequence. Refuses certainty from arms in which nothing has varied yet.
"""

import math
from typing import NamedTuple

from app.analysis.inputs import Arm, check_alpha
from app.analysis.proportions import Interval, variance
from app.errors import CallerError

# The sequence is valid with any; it is narrowest where differences of this size are found. With a rate of .1 that is at
# some 16,000 users an arm. Chosen before the data, as every plan is.
USUAL_DIFFERENCE = 0.01
# Below this the interval is wider than all differences there are, long before its arithmetic suffers.
SMALLEST_DIFFERENCE = 1e-6


class ConfidenceSequence(NamedTuple):
    """diff: of the rates, absolute. ci: diff -+ halfwidth, not cut at -1 and 1."""

    diff: float
    ci: Interval
    halfwidth: float


def sequential(control: Arm, treatment: Arm, alpha: float = 0.05, tuned_for: float = USUAL_DIFFERENCE) -> ConfidenceSequence:
    """Covers the true difference at all times at once with the chance 1 - alpha (in large samples).

    tuned_for: tau, the standard deviation of the mixture, an absolute difference. The interval holds every difference d
    whose mixture likelihood ratio, normal with mean 0 and standard deviation tau around d, has stayed below 1 / alpha:

        halfwidth^2 = V (V + tau^2) / tau^2 * (2 ln(1 / alpha) + ln((V + tau^2) / V)),  V = v1 / n1 + v2 / n2

    Robbins 1970; Johari, Koomen, Pekelis and Walsh, Operations Research 70 (2022); with an estimated variance:
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Annals of Statistics 52 (2024). The arms must grow in a steady ratio.
    CallerError: alpha or tuned_for out of its range.
    """
    check_alpha(alpha)
    if not SMALLEST_DIFFERENCE <= tuned_for <= 1:
        raise CallerError(f"tuned-for is {tuned_for}", f"Give a difference of rates from {SMALLEST_DIFFERENCE} to 1")
    spread = _variance_of_mean(control) + _variance_of_mean(treatment)
    halfwidth = halfwidth_at(spread, tuned_for, alpha)
    diff = treatment.rate - control.rate
    return ConfidenceSequence(diff, (diff - halfwidth, diff + halfwidth), halfwidth)


def halfwidth_at(spread: float, tuned_for: float, alpha: float) -> float:
    """spread: V above, more than 0. tuned_for: tau, in the unit of the difference."""
    mixture = tuned_for**2
    evidence = -2 * math.log(alpha) + math.log1p(mixture / spread)
    return math.sqrt(spread * (spread + mixture) / mixture * evidence)


def p_at(difference: float, spread: float, tuned_for: float) -> float:
    """The smallest alpha whose interval leaves 0 out, at most 1: one over the mixture likelihood ratio of d against 0. Valid at
    any time, since under the hypothesis the ratio ever exceeds 1 / alpha with the chance alpha at most (Ville 1939)."""
    mixture = tuned_for**2
    logarithm = 0.5 * (math.log1p(mixture / spread) - difference**2 * mixture / (spread * (spread + mixture)))
    return math.exp(min(0.0, logarithm))


def _variance_of_mean(arm: Arm) -> float:
    """One conversion and one other user are added: the first looks are at few users, and an arm without a conversion
    would otherwise be certain. The addition fades as users come."""
    return variance((arm.conversions + 1) / (arm.users + 2)) / arm.users
