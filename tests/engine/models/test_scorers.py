"""A compiled score is what a slow reading of the artefact says, bit for bit, and nothing else runs."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.model import SCORE, Linear
from app.engine.models import scorers
from app.engine.models.floats import logistic
from tests.engine.models.artefacts import compiled, features, model, trees_model, walked

WIDTH = 7


def event(values: list[float]) -> dict[str, dict[str, float]]:
    return {"event": {f"f{index}": value for index, value in enumerate(values)}}


@given(st.integers(0, 10_000), st.integers(1, 70), st.integers(0, 8), st.integers(1, 9))
def test_trees_say_what_walking_them_says(seed: int, count: int, depth: int, divisor: int) -> None:
    made = trees_model(seed, count, depth, WIDTH, divisor=divisor)
    chance = random.Random(seed + 1)
    values = [chance.gauss(0, 1) for _ in range(WIDTH)]
    artefact = made["artefact"][SCORE]
    total = 0.0
    for tree in artefact["trees"]:
        total = total + walked(tree, values)
    (score,) = compiled(made).judge(event(values)).scores
    assert score.hex() == (0.25 + total / divisor).hex()


def test_a_value_on_the_threshold_goes_left() -> None:
    tree = {"feature": [0, -1, -1], "threshold": [0.5, 0, 0], "left": [1, -1, -1], "right": [2, -1, -1], "value": [0, 10, 20]}
    made = compiled(model("trees", {SCORE: {"trees": [tree]}}, features(1)))
    at = [0.5, math.nextafter(0.5, 1)]
    assert [made.judge(event([value])).score for value in at] == [10, 20]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=150), st.floats(-1e6, 1e6))
def test_a_linear_score_is_added_from_left_to_right(weights: list[float], intercept: float) -> None:
    values = [float(index) / 3 for index in range(len(weights))]
    total = intercept
    for weight, value in zip(weights, values, strict=True):
        total = total + weight * value
    artefact = Linear(intercept=intercept, coefficients=tuple(weights))
    assert scorers.linear(artefact, is_logistic=False)(values).hex() == total.hex()
    assert scorers.linear(artefact, is_logistic=True)(values).hex() == logistic(total).hex()


def test_links() -> None:
    leaf = {"feature": [-1], "threshold": [0], "left": [-1], "right": [-1], "value": [2.0]}
    of = {"trees": [leaf], "link": "logistic"}
    assert compiled(model("trees", {SCORE: of}, features(1))).judge(event([0.0])).score == pytest.approx(1 / (1 + math.exp(-2)))


def test_a_model_without_a_feature_it_asks_for_is_still_a_number() -> None:
    """Each score is a function of the declared features alone, whatever else an event has."""
    made = compiled(model("linear", {SCORE: {"coefficients": [2.0]}}, features(1)))
    assert made.judge({"event": {"f0": 3.0, "f1": 9.0, "x0": 7}}).score == 6.0
