"""From scores to a variant: a probability for each variant, then one draw by a hash.

The probabilities are the propensities that the journal carries: whatever the rule, the draw is made from exactly these
numbers, so an estimate that divides by them is unbiased by construction. The draw is a function of seed and subject.

Sources: Sutton and Barto (2018), chapter 2 (epsilon-greedy, softmax); Thompson (1933), with independent normal scores.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from math import sqrt
from typing import Final

from app.contract.ids import SEPARATOR
from app.contract.model import Choose
from app.engine.models.floats import exp, normal_cdf

# One draw has all bits of a double: a floor of a thousandth is met to 1e-16.
POSITION_BITS: Final = 53
# Three and more arms: the trapezoid rule on +-6 standard deviations, whose error is below that of normal_cdf.
QUADRATURE_POINTS: Final = 81
QUADRATURE_REACH: Final = 6.0

# (scores, standard deviations) -> probabilities before the floor.
Rule = Callable[[Sequence[float], Sequence[float]], list[float]]


def position(seed: str, subject: str) -> float:
    """On [0, 1), from the first 53 bits of BLAKE2b of seed and subject. subject: a unit, or a decision."""
    digest = blake2b(f"{seed}{SEPARATOR}{subject}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> (64 - POSITION_BITS)) / (1 << POSITION_BITS)


def drawn(at: float, propensities: Sequence[float]) -> int:
    """The variant whose share of [0, 1) holds `at`; the last that has a share takes what rounding leaves."""
    reached = 0.0
    last = 0
    for index, share in enumerate(propensities):
        if share > 0.0:
            reached += share
            last = index
            if at < reached:
                return index
    return last


def propensities(choose: Choose) -> Rule:
    """The rule of `choose`, its floor included: floor + (1 - n * floor) * p."""
    rule = _RULES[choose.by](choose)
    floor = choose.floor
    if floor == 0.0:
        return rule

    def floored(scores: Sequence[float], deviations: Sequence[float]) -> list[float]:
        left = 1.0 - len(scores) * floor
        return [floor + left * share for share in rule(scores, deviations)]

    return floored


def _best(scores: Sequence[float]) -> int:
    """The first of the highest."""
    return max(range(len(scores)), key=scores.__getitem__)


def _argmax(_: Choose) -> Rule:
    def rule(scores: Sequence[float], deviations: Sequence[float]) -> list[float]:
        shares = [0.0] * len(scores)
        shares[_best(scores)] = 1.0
        return shares

    return rule


def _epsilon_greedy(choose: Choose) -> Rule:
    epsilon = choose.epsilon or 0.0

    def rule(scores: Sequence[float], deviations: Sequence[float]) -> list[float]:
        shares = [epsilon / len(scores)] * len(scores)
        shares[_best(scores)] += 1.0 - epsilon
        return shares

    return rule


def _softmax(choose: Choose) -> Rule:
    temperature = choose.temperature or 1.0

    def rule(scores: Sequence[float], deviations: Sequence[float]) -> list[float]:
        highest = max(scores)
        return _normalized([exp((score - highest) / temperature) for score in scores])

    return rule


def _thompson(_: Choose) -> Rule:
    return _chances_to_be_highest


def _chances_to_be_highest(scores: Sequence[float], deviations: Sequence[float]) -> list[float]:
    """P(score i + deviation i * Z_i is the highest), all Z independent and standard normal."""
    if len(scores) == 1:
        return [1.0]
    if len(scores) == 2:
        spread = sqrt(deviations[0] * deviations[0] + deviations[1] * deviations[1])
        if spread == 0.0:
            return [1.0, 0.0] if scores[0] >= scores[1] else [0.0, 1.0]
        first = normal_cdf((scores[0] - scores[1]) / spread)
        return [first, 1.0 - first]
    return _normalized([_chance(index, scores, deviations) for index in range(len(scores))])


def _chance(index: int, scores: Sequence[float], deviations: Sequence[float]) -> float:
    total = 0.0
    for z, weight in _NODES:
        at, term = scores[index] + deviations[index] * z, weight
        for other, score in enumerate(scores):
            if other != index:
                term *= _below(at, score, deviations[other], index < other)
        total += term
    return total


def _below(at: float, score: float, deviation: float, wins_ties: bool) -> float:
    if deviation == 0.0:
        return 1.0 if at > score or (wins_ties and at == score) else 0.0
    return normal_cdf((at - score) / deviation)


def _normalized(shares: list[float]) -> list[float]:
    total = 0.0
    for share in shares:
        total += share
    return [share / total for share in shares]


_Z = [-QUADRATURE_REACH + 2 * QUADRATURE_REACH * i / (QUADRATURE_POINTS - 1) for i in range(QUADRATURE_POINTS)]
_NODES: Final = tuple(zip(_Z, _normalized([exp(-z * z / 2) for z in _Z]), strict=True))

_RULES: Final[Mapping[str, Callable[[Choose], Rule]]] = {
    "argmax": _argmax,
    "epsilon_greedy": _epsilon_greedy,
    "softmax": _softmax,
    "thompson": _thompson,
}
