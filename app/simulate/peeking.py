"""Peeking, the tenth trap: a look every day, and a stop at the first that convinces. A/A, and with a lift to be found.

Owns the drawing and the stopping; the limits are those of app/analysis, as a policy's stop_rules have them.
"""

import math
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.analysis.boundaries import boundary
from app.analysis.inputs import Arm
from app.analysis.looks import Look, StopRules, look_plan
from app.analysis.proportions import upper_quantile
from app.analysis.sequential import sequential

Floats = NDArray[np.float64]
DAYS, USERS_A_DAY, RATE, LIFT, ALPHA = 28, 1_000, 0.10, 0.10, 0.05
_STARTED = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
NAIVE, PLAN, ANY_TIME = "naive daily peek", "stop_rules from day 7, obrien-fleming", "confidence sequence"


class Rule(NamedTuple):
    """limits: the z that each day's look must reach. Infinite where there is no look."""

    name: str
    limits: list[float]


class Stopped(NamedTuple):
    """false_positives: of A/A runs that stopped with a claim. power and mean_stop_days: with the lift; no claim stops last."""

    rule: str
    false_positives: float
    power: float
    mean_stop_days: float


def peeking(repetitions: int, seed: int) -> list[Stopped]:
    """The naive rule first. The same seed gives the same figures."""
    random = np.random.default_rng([seed, DAYS])
    null, lifted = (_runs(random, repetitions, lift) for lift in (0.0, LIFT))
    found = [_stopped(rule.name, *(_crossed(run, rule.limits) for run in (null, lifted))) for rule in _rules()]
    return [*found, _stopped(ANY_TIME, _outside(null), _outside(lifted))]


def _rules() -> list[Rule]:
    usual = [Rule(NAIVE, [upper_quantile(ALPHA / 2)] * DAYS)]
    kinds = [Rule(f"{kind}, daily", boundary(kind, DAYS, ALPHA).z) for kind in ("obrien-fleming", "pocock", "lan-demets")]
    return [*usual, *kinds, Rule(PLAN, _planned())]


def _planned() -> list[float]:
    """As the policy's plan has it: no look in the first week, and each limit from what has come by then."""
    plan = look_plan(StopRules(7, DAYS, 1, (0, 0), "obrien_fleming", ALPHA), _STARTED)
    looks = [Look(at, float((at - _STARTED).days * USERS_A_DAY)) for at in plan.planned]
    limits = dict(zip(((look.at - _STARTED).days for look in looks), plan.limits(looks), strict=True))
    return [limits.get(day, math.inf) for day in range(1, DAYS + 1)]


class _Runs(NamedTuple):
    """Conversions up to each day. Shape of both: (repetitions, days)."""

    control: NDArray[np.int64]
    treatment: NDArray[np.int64]

    @property
    def z(self) -> Floats:
        users = np.arange(1, DAYS + 1) * USERS_A_DAY
        pooled = (self.control + self.treatment) / (2 * users)
        return np.asarray((self.treatment - self.control) / users / np.sqrt(pooled * (1 - pooled) * 2 / users))


def _runs(random: np.random.Generator, repetitions: int, lift: float) -> _Runs:
    def of(rate: float) -> NDArray[np.int64]:
        return np.cumsum(random.binomial(USERS_A_DAY, rate, (repetitions, DAYS)), axis=1)

    return _Runs(of(RATE), of(RATE * (1 + lift)))


def _crossed(runs: _Runs, limits: list[float]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(runs.z) >= np.array(limits))


def _outside(runs: _Runs) -> NDArray[np.bool_]:
    """Days on which the always-valid interval leaves 0 out."""
    return np.array(
        [
            [
                _excludes(int(a), int(b), (day + 1) * USERS_A_DAY)
                for day, (a, b) in enumerate(zip(control, treatment, strict=True))
            ]
            for control, treatment in zip(runs.control, runs.treatment, strict=True)
        ]
    )


def _excludes(control: int, treatment: int, users: int) -> bool:
    low, high = sequential(Arm(control, users), Arm(treatment, users), ALPHA).ci
    return not low <= 0 <= high


def _stopped(name: str, null: NDArray[np.bool_], lifted: NDArray[np.bool_]) -> Stopped:
    days = np.where(lifted.any(axis=1), lifted.argmax(axis=1) + 1, DAYS)
    return Stopped(name, float(null.any(axis=1).mean()), float(lifted.any(axis=1).mean()), float(days.mean()))
