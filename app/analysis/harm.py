"""Is a treatment doing harm? Evidence that may be looked at every hour, and acted on at once.

Owns the sequential one-sided comparison of how often users of two arms meet something bad (an error, a late render, a contact
with support) for the first time. Refuses to look for benefit: for that a policy has planned looks.

In one period the arms have users at risk, a and b, and x and y of them meet it. If the hazard is the same, each of the x + y
falls on the treatment with the chance w = a / (a + b); if it is r times as high there, with r w / (r w + 1 - w). The
likelihood ratio of a mixture over r > 1, multiplied over the periods, is a non-negative martingale without harm, so that the
chance of its ever reaching 1 / alpha is at most alpha (Ville 1939), however often it is looked at and however the arms' sizes
change meanwhile (Kulldorff et al., Sequential Analysis 30 (2011), with a maximum in place of the mixture; Ramdas et al.,
Statistical Science 38 (2023), for mixtures).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from app.errors import CallerError

Floats = NDArray[np.float64]

# How many times as often: from what takes weeks to see to what nobody wants to wait for. Equal weights.
RATIOS = np.geomspace(1.1, 20.0, 16)


class Periods(NamedTuple):
    """Counts of each period, oldest first. Shape of each: (periods,), or (..., periods) for many comparisons at once.

    at_risk: users that have not met it before; met: those of them that did, for the first time.
    """

    treatment_met: ArrayLike
    treatment_at_risk: ArrayLike
    control_met: ArrayLike
    control_at_risk: ArrayLike


def log_evidence(periods: Periods) -> Floats:
    """ln of the likelihood ratio for harm against none after each period. Shape: that of the counts.

    Harm is shown with the error alpha where it reaches ln(1 / alpha). Periods without users in an arm, or in which nobody met
    it, say nothing. CallerError: counts that cannot be.
    """
    met, at_risk, other_met, other_at_risk = (np.asarray(counts, dtype=np.float64) for counts in periods)
    _check(met, at_risk, "treatment")
    _check(other_met, other_at_risk, "control")
    both = (at_risk > 0) & (other_at_risk > 0)
    share = np.where(both, at_risk / np.where(both, at_risk + other_at_risk, 1), 0.5)[..., None]
    # How much likelier an event is with the ratio r: on the treatment r / (r w + 1 - w), on the control 1 / (r w + 1 - w).
    crowding = np.log(RATIOS * share + 1 - share)
    steps = met[..., None] * (np.log(RATIOS) - crowding) - other_met[..., None] * crowding
    evidence = np.cumsum(np.where(both[..., None], steps, 0.0), axis=-2)
    return np.asarray(logsumexp(evidence, axis=-1) - np.log(len(RATIOS)))


def _check(met: Floats, at_risk: Floats, arm: str) -> None:
    impossible = ~((met >= 0) & (met <= at_risk) & np.isfinite(at_risk))
    if impossible.any():
        where = tuple(int(index) for index in np.argwhere(impossible)[0])
        raise CallerError(
            f"{arm}: {met[where]:g} of {at_risk[where]:g} users at risk met it in period {where[-1]}",
            "Count each user once, in the period of the first time",
        )
