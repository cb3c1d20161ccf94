"""The effect as it may be read at any time, any number of times: its interval is a confidence sequence, and p follows from it.

Owns what stop_rules with `boundary: always_valid` claim by. Refuses to be narrower than the sequence anywhere: the relative
interval is as many standard errors wide as that of the difference.
"""

import math

from scipy.special import ndtr, ndtri

from app.analysis.cells import Arm
from app.analysis.effect import Effect, MetricKind, effect
from app.analysis.sequential import USUAL_DIFFERENCE, halfwidth_at, p_at

# Of a metric that is no rate there is no usual difference; of its standard deviation there is: what USUAL_DIFFERENCE is at a
# rate of .1. Estimating it changes nothing in large samples (Waudby-Smith et al., Annals of Statistics 52 (2024)).
USUAL_DEVIATIONS = USUAL_DIFFERENCE / 0.3
# A p below it has no quantile in floats.
SMALLEST_P = 1e-300


def always_valid(control: Arm, treatment: Arm, kind: MetricKind, alpha: float) -> Effect | None:
    """As `effect`, at all times at once. statistic: the z that has this p. Where nothing varies nothing is sure: p is 1."""
    usual = effect(control, treatment, kind, alpha)
    if usual is None or not usual.error:
        return None if usual is None else usual._replace(statistic=0.0, degrees=None, p=1.0)
    spread, tuned_for = usual.error**2, _tuned_for(usual, kind)
    errors = halfwidth_at(spread, tuned_for, alpha) / usual.error
    wide = effect(control, treatment, kind, float(2 * ndtr(-errors)))
    assert wide is not None, "the same cells have an effect at every level"
    p = p_at(usual.difference, spread, tuned_for)
    z = -float(ndtri(max(p, SMALLEST_P) / 2))
    return wide._replace(statistic=math.copysign(z, usual.difference), degrees=None, p=p)


def _tuned_for(found: Effect, kind: MetricKind) -> float:
    if kind == "binary":
        return USUAL_DIFFERENCE
    control, treatment = found.people
    # V = s^2 (1/n1 + 1/n2) of two arms that vary alike.
    return USUAL_DEVIATIONS * found.error / math.sqrt(1 / control + 1 / treatment)
