"""A model that could not score, or would score by other numbers than were reviewed, never reaches the log."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.contract.model import MAX_TREE_DEPTH, content_sha256
from app.governance.rules import body_problems

DATA = Path(__file__).parents[1] / "data"
STUMP = {"feature": [0, -1, -1], "threshold": [0.5, 0, 0], "left": [1, -1, -1], "right": [2, -1, -1], "value": [0, 1, 2]}
Change = Callable[[dict[str, Any]], Any]


def gate() -> dict[str, Any]:
    """A policy whose eligibility asks for a score of trees."""
    body: dict[str, Any] = yaml.safe_load((DATA / "onboarding_nudge_v1.yaml").read_text())
    body["eligibility"] = {"score": {"$gte": 0.7}}
    features = [{"name": "views", "path": "user.page_views", "default": 0.0}, {"name": "x", "path": "event.properties.x"}]
    body["model"] = {"kind": "trees", "features": features, "artefact": {"score": {"trees": [copy.deepcopy(STUMP)]}}}
    return body


def chooser() -> dict[str, Any]:
    """A policy whose model chooses its variant."""
    body = gate()
    body["eligibility"] = {}
    arms = {key: {"intercept": 0.1, "coefficients": [1.0, -1.0]} for key in ("A", "B")}
    body["model"] |= {"kind": "linear", "artefact": arms, "choose": {"by": "argmax", "floor": 0.05, "against_permille": 500}}
    return body


def problems(body: dict[str, Any], *, sealed: bool = True) -> dict[tuple[Any, ...], str]:
    if sealed:
        body["model"]["sha256"] = content_sha256(body["model"])
    return {problem.path: problem.what for problem in body_problems(body, DEFAULT_CATALOGUE) if not problem.warning}


@pytest.mark.parametrize("made", [gate, chooser])
def test_a_sound_model_has_no_problem(made: Callable[[], dict[str, Any]]) -> None:
    assert problems(made()) == {}


def test_a_hash_that_does_not_match_is_refused_with_the_one_that_would() -> None:
    body = gate()
    body["model"]["sha256"] = content_sha256(body["model"])
    body["model"]["artefact"]["score"]["trees"][0]["value"][1] = 1.0000001
    (problem,) = (one for one in body_problems(body, DEFAULT_CATALOGUE) if not one.warning)
    assert problem.path == ("model", "sha256")
    assert content_sha256(body["model"]) in problem.remedy


def test_what_is_no_part_of_the_content_changes_no_hash() -> None:
    body = chooser()
    before = content_sha256(body["model"])
    body["model"]["choose"]["floor"] = 0.1
    assert content_sha256(body["model"]) == before


def test_a_score_needs_a_model() -> None:
    body = gate()
    del body["model"]
    assert list(problems(body, sealed=False)) == [("eligibility", "score")]


def set_at(*path: Any) -> Change:
    *way, last, value = path

    def change(body: dict[str, Any]) -> None:
        place: Any = body["model"]
        for step in way:
            place = place[step]
        place[last] = value

    return change


TREE = ("artefact", "score", "trees", 0)


@pytest.mark.parametrize(
    ("change", "path", "word"),
    [
        (set_at("kind", "forest"), ("kind",), '"forest"'),
        (set_at("colour", 1), ("colour",), "unknown key"),
        (set_at("features", 1, "name", "views"), ("features", 1, "name"), "already features[0]"),
        (set_at("features", 0, "path", "account.plan"), ("features", 0, "path"), "account.plan"),
        (set_at("features", 0, "path", "user"), ("features", 0, "path"), "no attribute"),
        (set_at("features", 0, "path", "user..a"), ("features", 0, "path"), "no attribute"),
        (set_at("features", 0, "type", "category"), ("features", 0), "needs equals"),
        (set_at("features", 0, "equals", "web"), ("features", 0), "has no equals"),
        (set_at("features", 0, {"name": "v", "path": "user.a", "min": 2, "max": 1}), ("features", 0, "min"), "above max"),
        (set_at("features", 0, "default", float("nan")), ("features", 0, "default"), ""),
        (set_at("artefact", {"A": {"trees": [STUMP]}}), ("artefact",), "scores A"),
        (set_at(*TREE, "feature", [5, -1, -1]), TREE, "feature 5 of 2"),
        (set_at(*TREE, "left", [7, -1, -1]), TREE, "none of the 3 nodes"),
        (set_at(*TREE, "left", [0, -1, -1]), TREE, "met twice"),
        (set_at(*TREE, "left", [2, -1, -1]), TREE, "met twice"),
        (set_at(*TREE, "value", [0, 1]), TREE, "not of one length"),
        (set_at(*TREE, "feature", [-1, -1, -1]), TREE, "2 nodes hang"),
        (set_at(*TREE, "value", [0, float("inf"), 1]), (*TREE, "value", 1), ""),
        (set_at("artefact", "score", "divisor", 0), ("artefact", "score", "divisor"), "0"),
        (set_at("artefact", "score", "base", 1e308), None, ""),
    ],
)
def test_what_is_wrong_with_trees_is_said_at_its_place(change: Change, path: tuple[Any, ...] | None, word: str) -> None:
    body = gate()
    change(body)
    found = problems(body, sealed=_is_json(body))
    if path is None:
        assert found == {}  # large, but a number: the rule is about what could become infinite
        return
    assert ("model", *path) in found
    assert word in found["model", *path]


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    return not isinstance(value, float) or abs(value) < float("inf")


@pytest.mark.parametrize(
    ("change", "path", "word"),
    [
        (set_at("artefact", "A", "coefficients", [1.0]), ("artefact", "A", "coefficients"), "1 coefficients for 2"),
        (set_at("artefact", "A", "variances", [1.0]), ("artefact", "A", "variances"), "1 variances for 2"),
        (set_at("artefact", "A", "coefficients", [1e300, 1.0]), ("artefact", "A", "coefficients"), "infinite"),
        (set_at("artefact", "C", {"coefficients": [1.0, 1.0]}), ("artefact",), "scores A, B, C"),
        (set_at("choose", "by", "epsilon_greedy"), ("choose", "epsilon"), "missing"),
        (set_at("choose", "temperature", 1.0), ("choose", "temperature"), "means nothing"),
        (set_at("choose", "floor", 0.6), ("choose", "floor"), "more than 1"),
        (set_at("choose", "by", "thompson"), ("choose", "by"), "variances"),
        (set_at("choose", "against_permille", 0), ("choose", "against_permille"), "nothing to compare"),
        (set_at("choose", "against_permille", 1000), ("choose", "against_permille"), "nothing to compare"),
    ],
)
def test_what_is_wrong_with_a_choice_is_said_at_its_place(change: Change, path: tuple[Any, ...], word: str) -> None:
    body = chooser()
    change(body)
    found = problems(body)
    assert word in found["model", *path]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"reassign": True, "class": "sensitive"}, "reassign"),
        ({"timing": {"delay_seconds": 60}}, "timing acts later"),
        ({"timing": {"wait_for": {"event": "feature_used"}}}, "timing acts later"),
    ],
)
def test_a_draw_at_each_decision_leaves_nothing_to_move_and_nothing_to_wait_for(change: dict[str, Any], word: str) -> None:
    body = chooser()
    body["model"]["choose"]["per_decision"] = True
    assert problems(body) == {}
    found = problems(body | change)
    assert word in found["model", "choose", "per_decision"]
    kept = chooser() | change
    assert ("model", "choose", "per_decision") not in problems(kept), "a policy that keeps its variants may"


def test_a_variant_s_own_delay_is_named() -> None:
    body = chooser()
    body["model"]["choose"]["per_decision"] = True
    body["variants"][1]["timing"] = {"delay_seconds": 5}
    assert "variants[1].timing" in problems(body)["model", "choose", "per_decision"]


PSI = {"metric": "score_psi", "worse_if": "increase", "bound": 0.25, "action": "pause"}


def test_a_guardrail_on_scores_needs_a_model_and_a_direction() -> None:
    body = chooser() | {"guardrails": [PSI]}
    assert problems(body) == {}
    turned = problems(body | {"guardrails": [PSI | {"worse_if": "decrease"}]})
    assert "never better" in turned["guardrails", 0, "worse_if"]
    del body["model"]
    assert "the policy has none" in problems(body, sealed=False)["guardrails", 0, "metric"]


def test_a_personalization_compares_nothing() -> None:
    body = chooser()
    body["kind"] = "personalization"
    assert ("model", "choose", "against_permille") in problems(body)


def test_a_tree_too_deep_is_refused() -> None:
    body, levels = gate(), MAX_TREE_DEPTH + 1
    inner = range(levels)
    body["model"]["artefact"]["score"]["trees"] = [
        {
            "feature": [0] * levels + [-1] * (levels + 1),
            "threshold": [0.0] * (2 * levels + 1),
            "left": [levels + node for node in inner] + [-1] * (levels + 1),
            "right": [*(node + 1 for node in inner[:-1]), 2 * levels] + [-1] * (levels + 1),
            "value": [0.0] * (2 * levels + 1),
        }
    ]
    assert "deeper than 48" in problems(body)["model", "artefact", "score", "trees", 0]
