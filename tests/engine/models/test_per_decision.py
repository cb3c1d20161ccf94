"""Variants drawn at each decision: by the decision's own id, with assignments of their own, and without any for the unit."""

import math
from collections import Counter
from typing import Any

import pytest

from app.contract.ids import is_own
from app.engine.former import KEPT_FORMER
from app.engine.models.choice import position
from tests.engine.models.artefacts import features, model
from tests.engine.world import World, body, in_force, snapshot

INTENT = features(1, path="event.properties.intent")
HALF = 0.5
DECISIONS = 3_000


def chooser(**changes: Any) -> Any:
    choose = {"by": "softmax", "temperature": 1.0, "against_permille": 500, "per_decision": True} | changes.pop("choose", {})
    artefact = {"A": {"coefficients": [0.0]}, "B": {"coefficients": [1.0]}}
    return body(model=model("linear", artefact, INTENT, choose=choose), **changes)


def decided(world: World, unit: str = "u-1", intent: Any = 1.0) -> Any:
    return world.send(unit=unit, properties={"intent": intent}).decision


def test_one_unit_gets_both_variants_as_often_as_the_propensities_say() -> None:
    world, drawn = World(snapshot(chooser())), Counter()  # type: ignore[var-annotated]
    for _ in range(DECISIONS):
        found = decided(world)
        drawn[found["model"]["chosen_by"], found["variant"]] += 1
        assert not found["sticky"]
        assert found["reason"] == "assigned"
    by_model, by_weights = (drawn[who, "A"] + drawn[who, "B"] for who in ("model", "weights"))
    spread = 5 * math.sqrt(0.25 / DECISIONS)
    assert by_model / DECISIONS == pytest.approx(HALF, abs=spread)
    assert drawn["model", "B"] / by_model == pytest.approx(1 / (1 + math.exp(-1)), abs=spread * 1.5)
    assert drawn["weights", "B"] / by_weights == pytest.approx(HALF, abs=spread * 1.5)


def test_the_draw_is_a_function_of_the_decision_and_of_nothing_before_it() -> None:
    """The same records in a world where the unit has decided before: the same variant under the same id."""
    fresh, used = World(snapshot(chooser())), World(snapshot(chooser()))
    for _ in range(5):
        decided(used)
    fresh.offsets["events.page_view"] = used.offsets["events.page_view"]
    one, other = decided(fresh), decided(used)
    assert one["decision_id"] == other["decision_id"]
    assert one["assignment_id"] == other["assignment_id"]
    assert (one["variant"], one["model"]) == (other["variant"], other["model"])
    by_weights = position("p\x1fagainst", one["decision_id"]) < HALF
    assert one["model"]["chosen_by"] == ("weights" if by_weights else "model")


def test_each_decision_has_an_assignment_of_its_own() -> None:
    world = World(snapshot(chooser()))
    found = [decided(world) for _ in range(20)]
    assert len({one["assignment_id"] for one in found}) == 20
    assert all(is_own(one["assignment_id"], one["decision_id"]) for one in found)
    assert {one["bucket"] for one in found} == {found[0]["bucket"]}  # coverage is the unit's, so that a ramp only adds


def test_every_render_is_counted_once_though_later_decisions_took_its_place() -> None:
    world = World(snapshot(chooser()))
    found = [decided(world) for _ in range(KEPT_FORMER + 1)]
    for one in found:
        assert world.acknowledge(one).status == "exposed"
        assert world.acknowledge(one).status == "duplicate"
    (exposure,) = world.acknowledge(decided(world)).on("exposures")
    assert exposure["decision_id"] != found[-1]["decision_id"]


def test_a_render_that_comes_too_late_is_dead_lettered_and_the_row_stays_small() -> None:
    world = World(snapshot(chooser()))
    first, *_ = [decided(world.wait(1)) for _ in range(KEPT_FORMER + 2)]
    late = world.acknowledge(first)
    assert (late.status, late.code) == ("rejected", "unknown_assignment")
    assert len(world.row("assignments")["identity"]["aside"]) == KEPT_FORMER


def test_another_variant_than_the_one_decided_is_refused() -> None:
    world = World(snapshot(chooser()))
    first, _ = decided(world), decided(world)
    other = {"A": "B", "B": "A"}[first["variant"]]
    assert world.acknowledge(first, variant=other).code == "variant_mismatch"


def test_on_decision_each_one_is_an_exposure_and_nothing_is_kept_aside() -> None:
    world = World(snapshot(chooser(exposure="on_decision")))
    ids = set()
    for _ in range(5):
        result = world.send(properties={"intent": 1.0})
        (exposure,) = result.on("exposures")
        assert exposure["decision_id"] == result.decision["decision_id"]
        ids.add(exposure["exposure_id"])
    assert len(ids) == 5
    assert "identity" not in world.row("assignments")


OUTCOMES = {"primary": {"event": "billing_intent", "within_hours": 1, "kind": "count"}}


def test_an_outcome_belongs_to_the_last_decision_before_it() -> None:
    world = World(snapshot(chooser(outcomes=OUTCOMES)))
    _, last = decided(world), decided(world)
    (outcome,) = world.send("billing_intent").on("outcomes")
    (joined,) = outcome["assignments"]
    assert joined["decision_id"] == last["decision_id"]
    assert joined["assignment_id"] == last["assignment_id"]


def test_an_outcome_of_a_policy_that_keeps_its_variants_names_no_decision() -> None:
    world = World(snapshot(chooser(outcomes=OUTCOMES, choose={"per_decision": False})))
    decided(world)
    (outcome,) = world.send("billing_intent").on("outcomes")
    assert "decision_id" not in outcome["assignments"][0]


def test_who_was_assigned_for_good_before_keeps_it_and_who_was_not_gets_one_afterwards() -> None:
    """Law of stickiness: a version that draws anew moves nobody; one that does not, binds from its first decision on."""
    kept, anew = chooser(choose={"per_decision": False}), chooser()
    world = World(snapshot(kept))
    before = decided(world)
    world.govern(in_force(anew, version=2, versions={1: kept}))
    assert {(decided(world)["variant"], decided(world)["assignment_id"]) for _ in range(20)} == {
        (before["variant"], before["assignment_id"])
    }
    assert {decided(world, "u-2")["variant"] for _ in range(40)} == {"A", "B"}
    world.govern(in_force(kept, version=3, versions={1: kept, 2: anew}))
    first = decided(world, "u-2")
    assert (first["sticky"], first["rule_version"]) == (False, 3)
    assert {decided(world, "u-2")["variant"] for _ in range(20)} == {first["variant"]}


def test_a_held_out_unit_is_never_drawn_for() -> None:
    world = World(snapshot(chooser(holdout="global")))
    held = next(unit for n in range(200) if decided(world, unit := f"u-{n}")["reason"] == "holdout")
    again = [decided(world, held) for _ in range(5)]
    assert {one["reason"] for one in again} == {"holdout"}
    assert len({one["assignment_id"] for one in again}) == 1


def test_without_a_score_nothing_is_drawn_and_the_last_decision_is_not_touched() -> None:
    world = World(snapshot(chooser(outcomes=OUTCOMES)))
    last = decided(world)
    assert world.send(properties={}).reason == "model_unavailable"
    (outcome,) = world.send("billing_intent").on("outcomes")
    assert outcome["assignments"][0]["decision_id"] == last["decision_id"]
