"""What a reviewer reads of a model's change: every kind of change in words, and never more than a screen of it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.contract.model import Model, content_sha256
from app.governance.model_difference import MOST_NAMED, MOST_SCORES, model_difference
from app.governance.policy_views import _without_numbers
from tests.engine.models.artefacts import trees_model

_MODEL: TypeAdapter[Any] = TypeAdapter(Model)
SCREEN_LINES, LINE_CHARS = 100, 600


def parsed(model: dict[str, Any]) -> Any:
    return _MODEL.validate_python({**model, "sha256": content_sha256(model)})


def linear() -> dict[str, Any]:
    features = [{"name": name, "path": f"user.{name}", "default": 0.0} for name in ("views", "plan", "age")]
    arms = {key: {"intercept": 0.1, "coefficients": [1.0, -2.0, 0.5], "variances": [0.1, 0.2, 0.3]} for key in "AB"}
    return {"kind": "linear", "features": features, "artefact": arms, "choose": {"by": "thompson", "against_permille": 500}}


def said(change: Callable[[dict[str, Any]], Any], of: Callable[[], dict[str, Any]] = linear) -> list[str]:
    after = copy.deepcopy(of())
    change(after)
    return model_difference(parsed(of()), parsed(after))


def test_nothing_changed_is_nothing_said() -> None:
    assert said(lambda model: None) == []
    assert model_difference(None, None) == []


def test_a_model_that_comes_or_goes_is_said_whole() -> None:
    (line,) = model_difference(None, parsed(linear()))
    assert line == "model added: linear, 3 features (views, plan, age), scores A, B, chooses by thompson"
    assert model_difference(parsed(linear()), None)[0].startswith("model removed: ")


def test_coefficients_are_named_by_feature_the_furthest_first() -> None:
    lines = said(lambda m: m["artefact"]["B"].update(coefficients=[1.25, 2.0, 0.5], intercept=0.2, variances=[0.1, 0.2, 0.4]))
    assert lines == [
        "B: intercept 0.1 -> 0.2",
        "B: 2 of 3 coefficients changed, 1 their sign: plan -2 -> 2, views 1 -> 1.25",
        "B: 1 of 3 variances changed: age 0.3 -> 0.4",
    ]


def test_features_that_come_go_or_change_are_said_and_their_numbers_are_not_mixed_up() -> None:
    def change(model: dict[str, Any]) -> None:
        model["features"][0] = {"name": "region", "path": "context.locale", "type": "category", "equals": "de"}
        model["features"][1] |= {"default": 3.5, "max": 10.0}

    assert said(change) == [
        "features added: region (category at context.locale equals 'de')",
        "features removed: views (number at user.views, default 0)",
        "features changed: plan (default 0 -> 3.5, max none -> 10)",
    ]


def test_another_order_of_the_same_features_is_said_as_that_alone() -> None:
    def turn(model: dict[str, Any]) -> None:
        model["features"].reverse()
        for arm in model["artefact"].values():
            arm["coefficients"].reverse()
            arm["variances"].reverse()

    lines = said(turn)
    assert lines == ["the same features in another order, which changes the order of additions: last bits of scores may differ"]


def test_how_it_chooses_is_said_field_by_field() -> None:
    lines = said(lambda m: m["choose"].update(by="softmax", temperature=0.5, floor=0.05, per_decision=True))
    assert lines == [
        "choose.by: thompson -> softmax",
        "choose.temperature: none -> 0.5",
        "choose.floor: 0 -> 0.05",
        "choose.per_decision: false -> true",
    ]
    assert said(lambda m: m.pop("choose")) == ["no longer chooses the variant, by thompson"]


def forest(seed: int = 1, count: int = 100) -> dict[str, Any]:
    made = trees_model(seed, count, 6, 20)
    return {name: made[name] for name in ("kind", "features", "artefact")}


def test_one_tree_of_a_hundred_is_found_and_a_leaf_that_is_off_the_scale_is_seen() -> None:
    def change(model: dict[str, Any]) -> None:
        tree = model["artefact"]["score"]["trees"][41]
        tree["value"][tree["feature"].index(-1)] = 1_000.0

    lines = said(change, forest)
    assert lines[0] == "score: 1 of the first 100 trees differ"
    assert lines[1].endswith("-> 1000")
    assert len(lines) == 2


def test_two_forests_of_a_hundred_trees_differ_in_a_few_lines() -> None:
    lines = model_difference(parsed(forest(1)), parsed(forest(2, 120)))
    assert "score: trees 100 -> 120" in lines
    assert lines[-1].startswith("score: splits by feature: ")
    assert lines[-1].count("->") == MOST_NAMED
    assert len(lines) < 10
    assert max(map(len, lines)) < LINE_CHARS


@pytest.mark.parametrize("width", [3, 400])
def test_the_largest_models_differ_in_no_more_than_a_screen(width: int) -> None:
    def wide(number: float) -> Any:
        features = [{"name": f"f{i}", "path": f"event.f{i}", "default": number} for i in range(width)]
        artefact = {f"v{i}": {"intercept": number, "coefficients": [number] * width} for i in range(40)}
        return parsed({"kind": "linear", "features": features, "artefact": artefact})

    lines = model_difference(wide(1.0), wide(2.0))
    assert f"and {40 - MOST_SCORES} further scores changed" in lines
    assert len(lines) < SCREEN_LINES
    assert max(map(len, lines)) < LINE_CHARS


def test_what_is_printed_beside_the_words_has_none_of_the_numbers() -> None:
    body = {"key": "p", "model": {**forest(), "sha256": content_sha256(forest())}}
    shown = _without_numbers(body)
    assert shown == {"key": "p", "model": {"sha256": body["model"]["sha256"]}}
    assert _without_numbers({"key": "p"}) == {"key": "p"}
