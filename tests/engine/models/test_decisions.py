"""Decisions by a model: gate or choice, what the journal carries of it, stickiness, and the way out when there is no score."""

import math
from collections import Counter
from typing import Any

import pytest

from tests.engine.models.artefacts import ADAPTER, features, model
from tests.engine.world import FALLBACK, Result, World, body, in_force, snapshot

UNITS = 2_000
INTENT = features(1, path="event.properties.intent")


def gate(**feature: Any) -> Any:
    """A policy for those whose score (twice their intent) is at least 1."""
    one = [{**INTENT[0], **feature}]
    return body(eligibility={"score": {"$gte": 1.0}}, model=model("linear", {"score": {"coefficients": [2.0]}}, one))


def chooser(**choose: Any) -> Any:
    """A policy that prefers B the more, the higher the intent."""
    artefact = {"A": {"coefficients": [0.0]}, "B": {"coefficients": [1.0]}}
    how = {"by": "softmax", "temperature": 1.0, "against_permille": 500, **choose}
    return body(model=model("linear", artefact, INTENT, choose=how))


def sent(world: World, unit: str = "u-1", intent: Any = 1.0) -> Result:
    return world.send(unit=unit, properties={} if intent is None else {"intent": intent})


def test_a_score_opens_the_gate_or_closes_it_and_is_journalled() -> None:
    world = World(snapshot(gate()))
    low, high = sent(world, "u-1", 0.4), sent(world, "u-2", 0.5)
    assert (low.reason, high.reason) == ("ineligible", "assigned")
    assert [found.decision["model"]["scores"] for found in (low, high)] == [{"score": 0.8}, {"score": 1.0}]
    assert low.decision["model"]["features_digest"] != high.decision["model"]["features_digest"]
    assert "propensities" not in high.decision["model"]


def test_a_policy_without_a_model_says_nothing_of_one() -> None:
    assert "model" not in World(snapshot(body())).send().decision


@pytest.mark.parametrize("policy", [gate(), chooser()], ids=["gate", "choice"])
@pytest.mark.parametrize(
    ("intent", "why"), [(None, "f0 is missing"), ("much", "f0 is missing"), (1.7e308, "is inf")], ids=["none", "text", "huge"]
)
def test_without_a_score_everyone_gets_the_fallback_and_nobody_is_assigned(policy: Any, intent: Any, why: str) -> None:
    """Twice the largest double is infinite; JSON has no NaN to send."""
    if why == "is inf":
        policy = _doubled(policy)
    found = sent(World(snapshot(policy)), intent=intent)
    assert (found.reason, found.decision["action"], found.decision["assigned"]) == ("model_unavailable", FALLBACK, False)
    assert found.decision["model"]["unavailable"].endswith(why)
    assert found.decision["gates"][-1]["why"] == found.decision["model"]["unavailable"]


def _doubled(policy: Any) -> Any:
    """A model that the rules of governance would refuse: the engine holds out against one all the same."""
    artefact = {name: {"coefficients": [2.0]} for name in policy.model.artefact}
    choose = None if policy.model.choose is None else policy.model.choose.model_dump()
    return policy.model_copy(update={"model": ADAPTER.validate_python(model("linear", artefact, INTENT, choose=choose))})


def test_a_default_is_used_and_named() -> None:
    found = sent(World(snapshot(gate(default=0.5))), intent=None)
    assert (found.reason, found.decision["model"]["defaulted"]) == ("assigned", ["f0"])


def test_the_model_chooses_as_often_as_it_says_and_the_others_follow_the_weights() -> None:
    world = World(snapshot(chooser(against_permille=300)))
    variants: Counter[tuple[str, str]] = Counter()
    for number in range(UNITS):
        decision = sent(world, f"u-{number}", 1.0).decision
        variants[decision["model"]["chosen_by"], decision["variant"]] += 1
        chance = 0.3 * 0.5 + 0.7 * (1 / (1 + math.exp(-1)))
        assert decision["model"]["propensities"]["B"] == pytest.approx(chance)
        assert math.fsum(decision["model"]["propensities"].values()) == pytest.approx(1)
    by_model = variants["model", "A"] + variants["model", "B"]
    spread = 5 * math.sqrt(0.25 / UNITS)
    assert by_model / UNITS == pytest.approx(0.7, abs=spread)
    assert variants["model", "B"] / by_model == pytest.approx(1 / (1 + math.exp(-1)), abs=spread * 1.3)
    assert variants["weights", "B"] / (UNITS - by_model) == pytest.approx(0.5, abs=spread * 2)


def test_a_unit_keeps_what_the_model_once_chose() -> None:
    world = World(snapshot(chooser(by="argmax", temperature=None, against_permille=1)))
    first = sent(world, intent=-1.0)
    assert (first.decision["variant"], first.decision["gates"][7]["why"]) == ("A", "A by model")
    again = sent(world, intent=5.0)
    assert (again.reason, again.decision["variant"]) == ("sticky", "A")
    assert "model" not in again.decision  # nobody asked it


def test_another_version_with_another_model_rerolls_nobody() -> None:
    world = World(snapshot(chooser()))
    before = {unit: sent(world, unit).decision["variant"] for unit in (f"u-{n}" for n in range(50))}
    turned = body(model=model("linear", {"A": {"coefficients": [9.0]}, "B": {"coefficients": [0.0]}}, INTENT,
                              choose={"by": "argmax", "against_permille": 1}))  # fmt: skip
    world.govern(in_force(turned, version=2, versions={1: chooser()}))
    assert {unit: sent(world, unit).decision["variant"] for unit in before} == before
    assert sent(world, "u-new").decision["variant"] == "A"


def test_the_held_out_are_never_asked_which_variant() -> None:
    world = World(snapshot(chooser().model_copy(update={"holdout": "global"})))
    held = next(found for n in range(200) if (found := sent(world, f"u-{n}")).reason == "holdout")
    assert "model" not in held.decision
