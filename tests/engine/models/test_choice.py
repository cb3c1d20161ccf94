"""Probabilities that add up, a draw that follows them exactly, and each rule against what it is known to be."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.model import Choose
from app.engine.models.choice import drawn, position, propensities

SCORES = st.lists(st.floats(-50, 50), min_size=1, max_size=6)
RULES = [
    Choose(by="argmax"),
    Choose(by="argmax", floor=0.1),
    Choose(by="epsilon_greedy", epsilon=0.2),
    Choose(by="softmax", temperature=0.7),
    Choose(by="softmax", temperature=0.7, floor=0.05),
    Choose(by="thompson"),
    Choose(by="thompson", floor=0.05),
]


@pytest.mark.parametrize("choose", RULES, ids=str)
@given(SCORES, st.randoms(use_true_random=False))
def test_the_probabilities_add_up_and_keep_their_floor(choose: Choose, scores: list[float], chance: random.Random) -> None:
    deviations = [chance.choice([0.0, 0.5, 3.0]) for _ in scores]
    shares = propensities(choose)(scores, deviations)
    assert math.fsum(shares) == pytest.approx(1, abs=1e-12)
    assert min(shares) >= choose.floor - 1e-15


def test_argmax_takes_the_first_of_the_highest() -> None:
    assert propensities(Choose(by="argmax"))([1.0, 2.0, 2.0], [0.0] * 3) == [0.0, 1.0, 0.0]
    assert propensities(Choose(by="argmax", floor=0.1))([1.0, 2.0, 2.0], [0.0] * 3) == pytest.approx([0.1, 0.8, 0.1])


def test_epsilon_greedy_explores_every_variant_alike() -> None:
    assert propensities(Choose(by="epsilon_greedy", epsilon=0.3))([5.0, 1.0, 1.0], [0.0] * 3) == pytest.approx([0.8, 0.1, 0.1])


def test_softmax_is_that_of_the_book() -> None:
    shares = propensities(Choose(by="softmax", temperature=2.0))([1.0, 3.0], [0.0] * 2)
    assert shares[1] == pytest.approx(1 / (1 + math.exp(-1)))
    assert propensities(Choose(by="softmax", temperature=1e-3))([1e6, -1e6], [0.0] * 2) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("scores", "deviations"),
    [([0.1, 0.3], [0.2, 0.1]), ([1.0, 1.1, 0.7], [0.3, 0.2, 0.9]), ([0.0, 0.0, 0.0, 0.1], [1, 1, 1, 0])],
)
def test_thompson_is_the_chance_that_a_sample_is_the_highest(scores: list[float], deviations: list[float]) -> None:
    chance, rounds = random.Random(5), 40_000
    highest = [0] * len(scores)
    for _ in range(rounds):
        samples = [chance.gauss(score, deviation) for score, deviation in zip(scores, deviations, strict=True)]
        highest[samples.index(max(samples))] += 1
    shares = propensities(Choose(by="thompson"))(scores, deviations)
    for share, count in zip(shares, highest, strict=True):
        assert share == pytest.approx(count / rounds, abs=5 * math.sqrt(0.25 / rounds))


def test_thompson_without_doubt_is_argmax() -> None:
    rule: Any = propensities(Choose(by="thompson"))
    assert rule([1.0, 2.0], [0.0, 0.0]) == [0.0, 1.0]
    assert rule([2.0, 2.0, 1.0], [0.0, 0.0, 0.0]) == [1.0, 0.0, 0.0]


def test_a_draw_follows_the_probabilities() -> None:
    shares, rounds = [0.2, 0.0, 0.5, 0.3], 20_000
    counts = [0] * len(shares)
    for unit in range(rounds):
        counts[drawn(position("a policy", f"u{unit}"), shares)] += 1
    assert counts[1] == 0
    chi2 = sum((count - share * rounds) ** 2 / (share * rounds) for count, share in zip(counts, shares, strict=True) if share)
    assert chi2 < 18.4  # two degrees of freedom, p = 1e-4


def test_a_draw_is_a_function_of_seed_and_subject() -> None:
    assert position("seed", "u1") == position("seed", "u1")
    assert len({position(seed, subject) for seed in ("a", "b") for subject in ("u1", "u2")}) == 4
    assert position("seed", "u1").hex() == "0x1.2e4a19b711da8p-2"


def test_what_rounding_leaves_over_goes_to_the_last_that_has_a_share() -> None:
    assert drawn(math.nextafter(1, 0), [0.3, 0.3, 0.3, 0.0]) == 2
