"""Boundaries of planned looks: how far z must be out at each look so that all looks together err with the chance alpha.

Owns the exact computation for two-sided symmetric boundaries at equally spaced looks. Refuses simulation: the figures are
to be compared with printed tables.

Between looks the score S (z times the root of the looks so far) takes a step that is N(0, 1) under the hypothesis. So |S|
is a Markov chain, and the density of what has not yet crossed is carried from look to look by integration (Armitage,
McPherson and Rowe 1969; Jennison and Turnbull, Group Sequential Methods, ch. 19). The density is smooth inside the
boundary, so Gauss-Legendre points integrate it to rounding.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from app.analysis.inputs import check_alpha
from app.analysis.proportions import upper_quantile
from app.errors import CallerError

Floats = NDArray[np.float64]

# Daily looks over a quarter. The points below are dense enough for the widest boundary of so many looks.
MOST_LOOKS = 100
POINTS = 128
# Spending functions leave early looks less than a float can tell from nothing: the boundary is then written as 8, which
# chance crosses once in 10^15 (as R's ldbounds does).
FARTHEST_Z = 8.0


class Boundary(NamedTuple):
    """z: one a look, from the first. A look rejects when |z| is at least that."""

    z: list[float]


class _Inside(NamedTuple):
    """|S| where nothing has crossed yet: points, and the probability mass at each. Shape of both: (points,)."""

    points: Floats
    masses: Floats


_START = _Inside(np.zeros(1), np.ones(1))


def boundary(kind: str, looks: int, alpha: float = 0.05) -> Boundary:
    """kind: one of KINDS. CallerError: a kind that there is not, looks or alpha out of their range."""
    check_alpha(alpha)
    if kind not in KINDS:
        raise CallerError(f"there is no boundary {kind!r}", f"Choose one of {', '.join(KINDS)}")
    if not 1 <= looks <= MOST_LOOKS:
        raise CallerError(f"looks is {looks}", f"Plan from 1 to {MOST_LOOKS} looks")
    return Boundary(KINDS[kind](looks, alpha))


def crossing_chances(z: Sequence[float]) -> list[float]:
    """The chance, if there is no effect, that each look is the first to cross. Their sum is the alpha of the boundary."""
    inside, chances = _START, []
    for look, limit in enumerate(z, start=1):
        bound = limit * math.sqrt(look)
        chances.append(_crossing(inside, bound))
        inside = _advance(inside, bound)
    return chances


def obrien_fleming(looks: int, alpha: float) -> list[float]:
    """O'Brien and Fleming, Biometrics 35 (1979): C sqrt(K / k), the same score at every look."""
    return _scaled([math.sqrt(looks / look) for look in range(1, looks + 1)], alpha)


def pocock(looks: int, alpha: float) -> list[float]:
    """Pocock, Biometrika 64 (1977): the same z at every look."""
    return _scaled([1.0] * looks, alpha)


def lan_demets(looks: int, alpha: float) -> list[float]:
    """Lan and DeMets, Biometrika 70 (1983), spending of O'Brien-Fleming type, each side its half of alpha.

    Spent by the share t of the information: 4 (1 - Phi(z_(alpha/4) / sqrt t)), both sides together.
    """
    inside, spent, limits = _START, 0.0, []
    start = upper_quantile(alpha / 4)
    for look in range(1, looks + 1):
        due = 4 * float(ndtr(-start / math.sqrt(look / looks))) - spent
        limit = _limit_spending(inside, look, due)
        limits.append(limit)
        bound = limit * math.sqrt(look)
        spent += _crossing(inside, bound)
        inside = _advance(inside, bound)
    return limits


KINDS: dict[str, Callable[[int, float], list[float]]] = {
    "obrien-fleming": obrien_fleming,
    "pocock": pocock,
    "lan-demets": lan_demets,
}


def _scaled(shape: Sequence[float], alpha: float) -> list[float]:
    """The boundary of this shape that errs with alpha. shape: 1 at the last look, never below 1.

    Its constant lies between the z of a single look, which the last one alone would need, and Bonferroni's.
    """
    lowest, highest = upper_quantile(alpha / 2), upper_quantile(alpha / 2 / len(shape))
    constant = _root(lambda c: sum(crossing_chances([c * part for part in shape])) - alpha, 0.99 * lowest, 1.01 * highest)
    return [constant * part for part in shape]


def _limit_spending(inside: _Inside, look: int, due: float) -> float:
    root = math.sqrt(look)
    if _crossing(inside, FARTHEST_Z * root) >= due:
        return FARTHEST_Z
    return _root(lambda z: _crossing(inside, z * root) - due, 0.0, FARTHEST_Z)


def _root(function: Callable[[float], float], lowest: float, highest: float) -> float:
    return float(brentq(function, lowest, highest, xtol=1e-10))


def _crossing(inside: _Inside, bound: float) -> float:
    """The chance of getting, by one more step, from inside to |S| >= bound: upwards or, past 0, downwards."""
    return float(inside.masses @ (ndtr(inside.points - bound) + ndtr(-inside.points - bound)))


def _advance(inside: _Inside, bound: float) -> _Inside:
    """One step further, without what has crossed."""
    points, weights = _legendre()
    to = bound * points
    apart, across = to[:, None] - inside.points, to[:, None] + inside.points
    density = (np.exp(-0.5 * apart * apart) + np.exp(-0.5 * across * across)) @ inside.masses / math.sqrt(2 * math.pi)
    return _Inside(to, bound * weights * density)


@cache
def _legendre() -> tuple[Floats, Floats]:
    """Points and weights of Gauss-Legendre integration over 0 to 1."""
    points, weights = np.polynomial.legendre.leggauss(POINTS)
    return (points + 1) / 2, weights / 2
