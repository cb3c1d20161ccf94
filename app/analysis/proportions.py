"""Two proportions: the difference, the relative lift and the test that a claim of lift rests on, for one look planned ahead.

Owns the formulas of a fixed horizon. Refuses to guess: an interval that the data carry no estimate of is None, never a NaN
and never an interval of no width.
"""

import math
from typing import NamedTuple

from scipy.special import ndtr, ndtri

from app.analysis.inputs import Arm, check_alpha

Interval = tuple[float, float]


class RelativeLift(NamedTuple):
    """Treatment against control.

    diff: of the rates, absolute. relative_lift: 0.1 is +10 %; None where the control's rate is 0. p: two-sided.
    diff_ci is None where neither arm's outcomes vary, relative_lift_ci where an arm has no conversion or neither varies.
    """

    diff: float
    diff_ci: Interval | None
    relative_lift: float | None
    relative_lift_ci: Interval | None
    z: float
    p: float


def relative_lift(control: Arm, treatment: Arm, alpha: float = 0.05) -> RelativeLift:
    """Everything that is said of two arms. Intervals have the confidence 1 - alpha. CallerError: alpha out of its range."""
    quantile = upper_quantile(check_alpha(alpha) / 2)
    diff = treatment.rate - control.rate
    z = pooled_z(control, treatment)
    return RelativeLift(
        diff,
        _wald(diff, control, treatment, quantile),
        treatment.rate / control.rate - 1 if control.conversions else None,
        _log_ratio(control, treatment, quantile),
        z,
        float(2 * ndtr(-abs(z))),
    )


def upper_quantile(chance: float) -> float:
    """The z that a standard normal variable exceeds with this chance."""
    return -float(ndtri(chance))


def variance(rate: float) -> float:
    """Of one user's outcome."""
    return rate * (1 - rate)


def pooled_z(control: Arm, treatment: Arm) -> float:
    """The score test of equal rates: under that hypothesis both arms estimate one rate, so they are pooled.

    (p2 - p1) / sqrt(p (1 - p) (1/n1 + 1/n2)), p = (x1 + x2) / (n1 + n2). Fleiss, Statistical Methods for Rates and
    Proportions, ch. 3. All or none converted: the arms are equal, z = 0.
    """
    pooled = Arm(control.conversions + treatment.conversions, control.users + treatment.users)
    error = math.sqrt(variance(pooled.rate) * (1 / control.users + 1 / treatment.users))
    return (treatment.rate - control.rate) / error if error else 0.0


def _wald(diff: float, control: Arm, treatment: Arm, quantile: float) -> Interval | None:
    """diff +- z sqrt(p1 (1 - p1) / n1 + p2 (1 - p2) / n2): away from the hypothesis each arm has its own variance."""
    error = math.sqrt(variance(control.rate) / control.users + variance(treatment.rate) / treatment.users)
    return (diff - quantile * error, diff + quantile * error) if error else None


def _log_ratio(control: Arm, treatment: Arm, quantile: float) -> Interval | None:
    """Katz et al., Biometrics 34 (1978): the logarithm of p2/p1 is near normal with variance (1 - p1)/x1 + (1 - p2)/x2.

    On the log scale the interval cannot fall below -100 %, and B over A is the mirror of A over B.
    """
    if not (control.conversions and treatment.conversions):
        return None
    error = math.sqrt((1 - control.rate) / control.conversions + (1 - treatment.rate) / treatment.conversions)
    log_ratio = math.log(treatment.rate / control.rate)
    if not error:
        return None
    return math.exp(log_ratio - quantile * error) - 1, math.exp(log_ratio + quantile * error) - 1
