"""Outcomes: a signal is joined with what its unit was assigned before it, exposed or not, held out or not."""

from typing import Any

import pytest

from app.contract.policy import Policy
from tests.engine.world import Json, World, body, in_force, snapshot, unit_of

HOUR_S = 3600
CREATED: Json = {"properties": {"name": "created"}}
OUTCOMES: Json = {
    "primary": {"event": "activation_milestone", "where": {"properties.name": "created"}, "within_hours": 2, "kind": "binary"},
    "secondary": [
        {"event": "feature_used", "within_hours": 2, "kind": "count"},
        {"event": "feature_used", "where": {"properties.n": {"$gt": 1}}, "within_hours": 1, "kind": "binary"},
    ],
}
GUARDRAILS: list[Json] = [
    {"metric": "not_rendered_rate", "worse_if": "increase", "bound": 0.05, "action": "pause"},
    {"metric": "errors", "event": "error_or_latency", "worse_if": "increase", "bound": 0.02, "action": "pause"},
]


def measured(key: str = "p", **changes: Any) -> Policy:
    return body(key, outcomes=OUTCOMES, guardrails=GUARDRAILS, **changes)


def test_an_outcome_of_an_assigned_unit_is_journalled_and_put_out_with_the_assignment() -> None:
    world = World(snapshot(measured()))
    decision = world.send().decision
    result = world.wait(60).send("activation_milestone", **CREATED)
    (outcome,) = result.on("outcomes")
    assert (result.status, result.journal["outcomes"]) == ("outcome", [outcome["outcome_id"]])
    assert outcome["assignments"] == [
        {
            "policy": "p",
            "variant": decision["variant"],
            "assignment_id": decision["assignment_id"],
            "rule_version": 1,
            "phase": 1,
            "holdout": False,
            "exposed": False,
            "exposed_ts": None,
            "outcome": "primary",
            "within_window": True,
        }
    ]
    assert (outcome["schema"], outcome["unit"], outcome["properties"]) == ("truelift.outcome/1", "u-1", {"name": "created"})


def test_an_outcome_that_does_not_match_or_of_an_unassigned_unit_is_no_match() -> None:
    world = World(snapshot(measured()))
    assert world.send("activation_milestone", **CREATED).status == "no_match"
    world.send()
    assert world.send("activation_milestone", properties={"name": "other"}).status == "no_match"
    assert world.send("activation_milestone", "u-2", **CREATED).status == "no_match"


def test_every_role_that_an_event_plays_is_named() -> None:
    world = World(snapshot(measured()))
    world.send()
    (outcome,) = world.send("feature_used", properties={"n": 2}).on("outcomes")
    assert [joined["outcome"] for joined in outcome["assignments"]] == ["secondary[0]", "secondary[1]"]
    (outcome,) = world.send("feature_used", properties={"n": 1}).on("outcomes")
    assert [joined["outcome"] for joined in outcome["assignments"]] == ["secondary[0]"]
    (outcome,) = world.send("error_or_latency").on("outcomes")
    assert [joined["outcome"] for joined in outcome["assignments"]] == ["guardrail[1]"]


def test_every_policy_of_the_unit_is_joined() -> None:
    world = World(snapshot(measured("p"), measured("q", trigger={"event": "billing_intent", "decision_point": "x"})))
    world.send()
    (outcome,) = world.send("activation_milestone", **CREATED).on("outcomes")
    assert [joined["policy"] for joined in outcome["assignments"]] == ["p"]
    world.send("billing_intent")
    (outcome,) = world.send("activation_milestone", **CREATED).on("outcomes")
    assert [joined["policy"] for joined in outcome["assignments"]] == ["p", "q"]


@pytest.mark.parametrize(("seconds", "within"), [(0, True), (2 * HOUR_S, True), (2 * HOUR_S + 0.001, False)])
def test_the_window_counts_from_the_assignment_of_a_unit_not_exposed(seconds: float, within: bool) -> None:
    world = World(snapshot(measured()))
    world.send()
    (outcome,) = world.wait(seconds).send("activation_milestone", **CREATED).on("outcomes")
    assert outcome["assignments"][0]["within_window"] is within


def test_the_window_counts_from_the_exposure_of_an_exposed_unit() -> None:
    world = World(snapshot(measured()))
    decision = world.send().decision
    world.wait(HOUR_S).acknowledge(decision)
    (outcome,) = world.wait(2 * HOUR_S).send("activation_milestone", **CREATED).on("outcomes")
    (joined,) = outcome["assignments"]
    assert (joined["within_window"], joined["exposed"], joined["exposed_ts"]) == (True, True, "2026-11-22T11:15:30.000000Z")


def test_a_guardrail_has_no_window() -> None:
    world = World(snapshot(measured()))
    world.send()
    (outcome,) = world.wait(1000 * HOUR_S).send("error_or_latency").on("outcomes")
    assert outcome["assignments"][0]["within_window"] is True


def test_a_held_out_unit_is_joined_as_the_baseline() -> None:
    policies = snapshot(measured(holdout="global"))
    unit = unit_of(policies, lambda decision: decision["holdout"])
    world = World(policies)
    world.send(unit=unit)
    (outcome,) = world.send("activation_milestone", unit, **CREATED).on("outcomes")
    (joined,) = outcome["assignments"]
    assert (joined["holdout"], joined["variant"], joined["exposed"]) == (True, None, False)


def test_units_of_a_killed_or_shadow_policy_are_joined_too() -> None:
    world = World(snapshot(measured(mode="shadow")))
    world.send()
    world.govern(in_force(measured(), "killed"))
    assert world.send("activation_milestone", **CREATED).status == "outcome"


def test_a_record_that_decides_and_is_an_outcome_is_decided_and_names_its_outcomes() -> None:
    policy = measured(trigger={"event": "feature_used", "decision_point": "point"})
    world = World(snapshot(policy))
    first, second = world.send("feature_used"), world.send("feature_used")
    assert (first.status, first.journal["outcomes"], first.on("outcomes")) == ("decided", [], [])
    (outcome,) = second.on("outcomes")
    assert (second.status, second.journal["outcomes"]) == ("decided", [outcome["outcome_id"]])


def test_an_outcome_keeps_the_version_and_phase_of_the_assignment() -> None:
    world = World(snapshot(in_force(measured(), phase=4)))
    world.send()
    world.govern(in_force(measured(), version=2, phase=9, versions={1: measured()}))
    (outcome,) = world.send("activation_milestone", **CREATED).on("outcomes")
    assert (outcome["assignments"][0]["rule_version"], outcome["assignments"][0]["phase"]) == (1, 4)


def test_an_acknowledgement_is_no_outcome_and_counts_no_fact() -> None:
    world = World(snapshot(measured()))
    decision = world.send().decision
    before = world.row("eligibility")
    assert world.acknowledge(decision).on("outcomes") == []
    assert world.row("eligibility") == before
