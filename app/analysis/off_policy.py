"""What a policy that never ran would have earned, from the log of one that did: IPS, self-normalized IPS and doubly robust.

Owns the estimates, their intervals and the refusal where the log cannot know. A log says something of an action only where it
had a chance: a candidate that wants what the log never tried is refused, not extrapolated.

Sources: Horvitz and Thompson (1952); Hájek (1971), as Swaminathan and Joachims (2015) use it; Dudík, Langford and Li (2011),
with rewards cross-fitted as in Chernozhukov et al. (2018); effective sample size after Kish (1965). Intervals are Wald's on the
influence of each unit: decisions of one unit are not independent of each other.
"""

from math import sqrt
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.stats import norm

from app.errors import CallerError

# Of the rewards' model: each row is predicted by rows of other units.
FOLDS: Final = 5
# Shrinks what an action's few rows say towards the mean of all.
RIDGE: Final = 1.0
# Below so many effective rows a normal interval is not one.
LEAST_EFFECTIVE: Final = 30.0
ROUNDING: Final = 1e-9

Array = np.ndarray[Any, np.dtype[np.float64]]
Whole = np.ndarray[Any, np.dtype[np.int64]]


class Logged(NamedTuple):
    """n decisions between k actions. actions: (n,), what was done; rewards: (n,); propensities, candidate: (n, k), the chance
    of each action then, and what the candidate would give it; features: (n, d), of the rewards' model; units: (n,), whose."""

    actions: Whole
    rewards: Array
    propensities: Array
    candidate: Array
    features: Array
    units: Whole


class Estimate(NamedTuple):
    value: float
    low: float
    high: float


class Evaluation(NamedTuple):
    """naive: the mean of the rewards where the log did what the candidate likes best: what a dashboard would show."""

    decisions: int
    units: int
    logged: Estimate
    naive: float | None
    ips: Estimate
    snips: Estimate
    dr: Estimate
    effective_size: float
    largest_weight: float


def evaluate(log: Logged, alpha: float = 0.05) -> Evaluation:
    """CallerError: no decisions, propensities that are none, or a candidate that the log does not support."""
    _check(log)
    rows = np.arange(len(log.actions))
    chances = log.propensities[rows, log.actions]
    weights = log.candidate[rows, log.actions] / chances
    predicted = _rewards(log)
    z = float(norm.ppf(1 - alpha / 2))
    ips = weights * log.rewards
    direct = (log.candidate * predicted).sum(axis=1) + weights * (log.rewards - predicted[rows, log.actions])
    likes = log.candidate.argmax(axis=1) == log.actions
    return Evaluation(
        len(rows),
        len(np.unique(log.units)),
        _mean(log.rewards, log.units, z),
        float(log.rewards[likes].mean()) if likes.any() else None,
        _mean(ips, log.units, z),
        _ratio(ips, weights, log.units, z),
        _mean(direct, log.units, z),
        float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 0.0,
        float(weights.max()),
    )


def _check(log: Logged) -> None:
    if len(log.actions) == 0:
        raise CallerError(
            "there are no logged decisions to evaluate on", "Wait for decisions whose propensities are journalled"
        )
    for name, shares in (("logged", log.propensities), ("candidate's", log.candidate)):
        if not np.isfinite(shares).all() or (shares < 0).any() or (np.abs(shares.sum(axis=1) - 1) > ROUNDING).any():
            raise CallerError(f"the {name} probabilities of a decision do not add up to 1", "Give one for each action")
    taken = log.propensities[np.arange(len(log.actions)), log.actions]
    if (taken <= 0).any():
        raise CallerError("an action was taken whose logged probability is 0", "The log is not that of its policy")
    missing = (log.candidate > 0) & (log.propensities <= 0)
    if missing.any():
        row, action = map(int, np.argwhere(missing)[0])
        count = int(missing.any(axis=1).sum())
        raise CallerError(
            f"the log has no support: in {count:,} of {len(log.actions):,} decisions the candidate wants what had no chance "
            f"(first: decision {row + 1}, action {action + 1}, wanted with {log.candidate[row, action]:.3g})",
            "Log with a floor above 0, or evaluate a candidate that stays within what was tried",
        )


def is_thin(found: Evaluation) -> bool:
    """Whether so few rows carry the estimate that its interval means little."""
    return found.effective_size < LEAST_EFFECTIVE


def _mean(values: Array, units: Whole, z: float) -> Estimate:
    centre = float(values.mean())
    spread = z * _error(values - centre, units)
    return Estimate(centre, centre - spread, centre + spread)


def _ratio(above: Array, below: Array, units: Whole, z: float) -> Estimate:
    """Delta method: the influence of a row is (above - ratio * below) / mean(below)."""
    total = float(below.sum())
    if total == 0:
        return Estimate(0.0, float("-inf"), float("inf"))
    ratio = float(above.sum()) / total
    spread = z * _error((above - ratio * below) / (total / len(below)), units)
    return Estimate(ratio, ratio - spread, ratio + spread)


def _error(influence: Array, units: Whole) -> float:
    """Standard error of the mean of `influence`, whose rows are independent only between units."""
    _, place = np.unique(units, return_inverse=True)
    totals = np.bincount(place, weights=influence)
    count = len(totals)
    if count < 2:
        return float("inf")
    return sqrt(float((totals**2).sum()) * count / (count - 1)) / len(influence)


def _rewards(log: Logged) -> Array:
    """(n, k): the reward expected of each action, by ridge regression for each action on rows of other units."""
    count, actions = log.propensities.shape
    design = np.column_stack([np.ones(count), _standardized(log.features)])
    _, place = np.unique(log.units, return_inverse=True)
    folds = place % FOLDS
    predicted = np.empty((count, actions))
    for fold in range(FOLDS):
        inside, outside = folds == fold, folds != fold
        middle = float(log.rewards[outside].mean()) if outside.any() else 0.0
        for action in range(actions):
            rows = outside & (log.actions == action)
            predicted[inside, action] = middle + design[inside] @ _ridge(design[rows], log.rewards[rows] - middle)
    return predicted


def _standardized(features: Array) -> Array:
    spread = features.std(axis=0)
    scaled: Array = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return scaled


def _ridge(design: Array, rewards: Array) -> Array:
    width = design.shape[1]
    return np.asarray(np.linalg.solve(design.T @ design + RIDGE * np.eye(width), design.T @ rewards), dtype=np.float64)
