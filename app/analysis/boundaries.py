"""Boundaries of planned looks: how far z must be out at each look so that all looks together err with the chance alpha.

Owns the exact computation for two-sided symmetric boundaries at looks of any spacing. Refuses simulation: the figures are
to be compared with printed tables.

A look has a time: the information so far as a share of what is planned. Between looks at s and t the score S (z times the
root of the time) takes a step that is N(0, t - s) under the hypothesis. So |S| is a Markov chain, and the density of what
has not yet crossed is carried from look to look by integration (Armitage, McPherson and Rowe 1969; Jennison and Turnbull,
Group Sequential Methods, ch. 19). The density is smooth inside the boundary, so Gauss-Legendre points integrate it to
rounding.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from app.analysis.inputs import check_alpha
from app.analysis.proportions import upper_quantile
from app.errors import CallerError

Floats = NDArray[np.float64]

# Daily looks over half a year. More take minutes: each constant that is tried costs looks x points^2.
MOST_LOOKS = 200
LEAST_POINTS = 64
MOST_POINTS = 2048
# Integration points to a standard deviation of the step between two looks: with 4 the error is below 1e-9.
POINTS_PER_STEP = 4
# Looks closer than this share of the information are refused: MOST_POINTS could not resolve the step between them.
CLOSEST_LOOKS = 1e-4
# Spending functions leave early looks less than a float can tell from nothing: the boundary is then written as 8, which
# chance crosses once in 10^15 (as R's ldbounds does).
FARTHEST_Z = 8.0


class Boundary(NamedTuple):
    """z: one a look, from the first. A look rejects when |z| is at least that."""

    z: list[float]


class Taken(NamedTuple):
    """A look that was made. time: its share of the planned information; z: the limit that was in force."""

    time: float
    z: float


class _Inside(NamedTuple):
    """|S| where nothing has crossed yet: its time, points, and the probability mass at each. Shape of both: (points,)."""

    time: float
    points: Floats
    masses: Floats


_START = _Inside(0.0, np.zeros(1), np.ones(1))


def boundary(kind: str, looks: int, alpha: float = 0.05) -> Boundary:
    """At equally spaced looks. kind: one of KINDS. CallerError: a kind that there is not, looks or alpha out of their range."""
    if not 1 <= looks <= MOST_LOOKS:
        raise CallerError(f"looks is {looks}", f"Plan from 1 to {MOST_LOOKS} looks")
    return boundary_at(kind, [look / looks for look in range(1, looks + 1)], alpha)


def boundary_at(kind: str, times: Sequence[float], alpha: float = 0.05, taken: Sequence[Taken] = ()) -> Boundary:
    """At looks that come at these times, which grow up to 1, the last one planned.

    taken: looks that were made already, planned or not, each at the limit that it had. What they have spent is spent: the
    looks to come share the rest of alpha. (Valid as long as looks are not chosen by what the arms showed.)
    CallerError: a kind that there is not, alpha out of its range, times that do not grow, or no alpha left.
    """
    check_alpha(alpha)
    if kind not in KINDS:
        raise CallerError(f"there is no boundary {kind!r}", f"Choose one of {', '.join(KINDS)}")
    _check_times([*(look.time for look in taken), *times])
    inside, spent = _START, 0.0
    for look in taken:
        spent += _crossing(inside, look.time, look.z)
        inside = _advance(inside, look.time, look.z)
    return Boundary(KINDS[kind](inside, spent, list(times), alpha))


def limits_spending(information: Sequence[float], due: Sequence[float]) -> list[float]:
    """The z at each look, so that up to it no more is spent than is due by then.

    information: what each look rests on, growing, in any unit (users, or 1 / variance); due: the alpha that may be spent up to
    each look, growing. What looks come, and what each may spend, must not depend on what the arms showed; how much
    information has come by then may (Lan and DeMets, Biometrics 45 (1989), spending by the calendar).
    """
    times = [amount / information[-1] for amount in information]
    _check_times(times)
    return _spending(_START, 0.0, times, due)


def crossing_chances(z: Sequence[float], times: Sequence[float] | None = None) -> list[float]:
    """The chance, if there is no effect, that each look is the first to cross. Their sum is the alpha of the boundary.

    times: of the looks; equally spaced when left out.
    """
    return _crossing_chances(_START, z, times or [look / len(z) for look in range(1, len(z) + 1)])


def obrien_fleming(inside: _Inside, spent: float, times: Sequence[float], alpha: float) -> list[float]:
    """O'Brien and Fleming, Biometrics 35 (1979): C / sqrt t, the same score at every look."""
    return _scaled(inside, times, [math.sqrt(times[-1] / time) for time in times], alpha - spent)


def pocock(inside: _Inside, spent: float, times: Sequence[float], alpha: float) -> list[float]:
    """Pocock, Biometrika 64 (1977): the same z at every look."""
    return _scaled(inside, times, [1.0] * len(times), alpha - spent)


def lan_demets(inside: _Inside, spent: float, times: Sequence[float], alpha: float) -> list[float]:
    """Lan and DeMets, Biometrika 70 (1983), spending of O'Brien-Fleming type, each side its half of alpha.

    Spent by the share t of the information: 4 (1 - Phi(z_(alpha/4) / sqrt t)), both sides together.
    """
    start = upper_quantile(alpha / 4)
    return _spending(inside, spent, times, [4 * float(ndtr(-start / math.sqrt(time))) for time in times])


# What has not crossed at the looks taken, what they spent, the times to come, alpha -> z at each of them.
KINDS: dict[str, Callable[[_Inside, float, Sequence[float], float], list[float]]] = {
    "obrien-fleming": obrien_fleming,
    "pocock": pocock,
    "lan-demets": lan_demets,
}


def _check_times(times: Sequence[float]) -> None:
    if not 1 <= len(times) <= MOST_LOOKS:
        raise CallerError(f"there are {len(times)} looks", f"Plan from 1 to {MOST_LOOKS} looks")
    for before, time in pairwise([0.0, *times]):
        if not time - before >= CLOSEST_LOOKS:
            raise CallerError(
                f"a look at {time:g} of the information follows one at {before:g}",
                f"Give shares of the planned information that grow by {CLOSEST_LOOKS:g} at least",
            )
    if times[-1] > 1 + 1e-9:
        raise CallerError(f"the last look is at {times[-1]:g} of the information", "Give shares of what is planned, up to 1")


def _scaled(inside: _Inside, times: Sequence[float], shape: Sequence[float], alpha: float) -> list[float]:
    """The boundary of this shape that errs with alpha from here on. shape: 1 at the last look, never below 1."""
    if alpha <= 0:
        raise CallerError("the looks taken have spent all of alpha", "No verdict can be given any more: start a new version")

    def excess(constant: float) -> float:
        return sum(_crossing_chances(inside, [constant * part for part in shape], times)) - alpha

    # Bonferroni's constant is beyond every other.
    constant = _root(excess, 0.0, 1.01 * upper_quantile(alpha / 2 / len(shape)))
    return [constant * part for part in shape]


def _spending(inside: _Inside, spent: float, times: Sequence[float], due: Sequence[float]) -> list[float]:
    limits = []
    for time, allowed in zip(times, due, strict=True):
        limit = _limit_spending(inside, time, allowed - spent)
        limits.append(limit)
        spent += _crossing(inside, time, limit)
        inside = _advance(inside, time, limit)
    return limits


def _limit_spending(inside: _Inside, time: float, due: float) -> float:
    if _crossing(inside, time, FARTHEST_Z) >= due:
        return FARTHEST_Z
    return _root(lambda z: _crossing(inside, time, z) - due, 0.0, FARTHEST_Z)


def _root(function: Callable[[float], float], lowest: float, highest: float) -> float:
    return float(brentq(function, lowest, highest, xtol=1e-10))


def _crossing_chances(inside: _Inside, z: Sequence[float], times: Sequence[float]) -> list[float]:
    chances = []
    for limit, time in zip(z, times, strict=True):
        chances.append(_crossing(inside, time, limit))
        inside = _advance(inside, time, limit)
    return chances


def _crossing(inside: _Inside, time: float, limit: float) -> float:
    """The chance of getting, by one more step, from inside to |z| >= limit: upwards or, past 0, downwards."""
    bound, step = limit * math.sqrt(time), math.sqrt(time - inside.time)
    return float(inside.masses @ (ndtr((inside.points - bound) / step) + ndtr((-inside.points - bound) / step)))


def _advance(inside: _Inside, time: float, limit: float) -> _Inside:
    """One step further, without what has crossed."""
    bound, step = limit * math.sqrt(time), math.sqrt(time - inside.time)
    # A step far smaller than the boundary needs its points closer.
    count = LEAST_POINTS
    while count < min(MOST_POINTS, POINTS_PER_STEP * bound / step):
        count *= 2
    points, weights = _legendre(count)
    to = bound * points
    apart, across = (to[:, None] - inside.points) / step, (to[:, None] + inside.points) / step
    density = (np.exp(-0.5 * apart * apart) + np.exp(-0.5 * across * across)) @ inside.masses / (step * math.sqrt(2 * math.pi))
    return _Inside(time, to, bound * weights * density)


@cache
def _legendre(count: int) -> tuple[Floats, Floats]:
    """Points and weights of Gauss-Legendre integration over 0 to 1."""
    points, weights = np.polynomial.legendre.leggauss(count)
    return (points + 1) / 2, weights / 2
