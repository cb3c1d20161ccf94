"""Law of exposure: only what was really shown, or declared `on_decision`; once an assignment; every arm by the same code."""

import pytest

from app.contract.policy import Policy
from tests.engine.world import RENDER_A, Json, World, body, in_force, snapshot, unit_of

ON_RENDER = snapshot(body())
ON_DECISION = snapshot(body(exposure="on_decision"))


def assignment_row(world: World, unit: str = "u-1") -> Json:
    assignment: Json = world.row("assignments", unit)["assignments"]["p"]
    return assignment


@pytest.mark.parametrize("arm", ["A", "B"])
def test_an_acknowledged_arm_is_exposed_by_the_same_code_as_every_other(arm: str) -> None:
    unit = unit_of(ON_RENDER, lambda decision: decision["variant"] == arm)
    world = World(ON_RENDER)
    decision = world.send(unit=unit).decision
    result = world.wait(1).acknowledge(decision, unit)
    (exposure,) = result.on("exposures")
    assert (result.status, result.journal["exposures"]) == ("exposed", [exposure["exposure_id"]])
    assert exposure["experiment"] == {
        "key": "p",
        "variant": arm,
        "assignment_id": decision["assignment_id"],
        "rule_version": 1,
    }
    assert (exposure["decision_id"], exposure["phase"]) == (decision["decision_id"], decision["phase"])
    assert (exposure["exposed_by"], exposure["surface"]) == ("render", "s")
    assert assignment_row(world, unit)["exposed_us"] == world.now_us


def test_an_exposure_is_measured_against_the_decision_that_served_it() -> None:
    world = World(ON_RENDER)
    decision = world.send(latency_ms=60).decision
    (exposure,) = world.wait(1).acknowledge(decision).on("exposures")
    assert exposure["latency"] == {
        "signal_ts": "2026-11-22T10:15:30.000000Z",
        "decided_ts": "2026-11-22T10:15:30.060000Z",
        "visible_ts": None,
        "delivered_ts": None,
        "rendered_ts": "2026-11-22T10:15:31.000000Z",
        "signal_to_decision_ms": 60.0,
        "signal_to_delivered_ms": None,
        "decision_to_render_ms": 12.5,
        "signal_to_render_ms": 72.5,
        "budget_ms": 150,
        "within_budget": True,
    }


def test_an_exposure_names_the_last_decision_that_served_the_variant() -> None:
    world = World(ON_RENDER)
    world.send()
    last = world.wait(60).send().decision
    (exposure,) = world.acknowledge(last).on("exposures")
    assert exposure["decision_id"] == last["decision_id"]


def test_an_exposure_keeps_the_envelope_with_its_unknown_fields() -> None:
    world = World(ON_RENDER)
    said = world.send().decision
    experiment = {"key": "p", "variant": said["variant"], "assignment_id": said["assignment_id"], "rule_version": 1, "note": 7}
    governance = {"owner": "growth", "rollback_flag": "ff"}
    result = world.send("experiment_exposure", experiment=experiment, governance=governance, extra=[1])
    (exposure,) = result.on("exposures")
    assert (exposure["experiment"], exposure["governance"], exposure["extra"]) == (experiment, governance, [1])
    assert (exposure["schema"], exposure["event_name"]) == ("truelift.exposure/1", "experiment_exposure")


def test_a_second_acknowledgement_of_one_assignment_is_a_duplicate() -> None:
    world = World(ON_RENDER)
    decision = world.send().decision
    world.acknowledge(decision)
    for _ in range(2):
        again = world.wait(3600).acknowledge(decision)
        assert (again.status, again.on("exposures")) == ("duplicate", [])


def test_the_same_acknowledgement_record_again_is_a_duplicate() -> None:
    world = World(ON_RENDER)
    said = world.send().decision
    experiment = {"key": "p", "variant": said["variant"], "assignment_id": said["assignment_id"], "rule_version": 1}
    envelope = world.event("experiment_exposure", experiment=experiment)
    assert [world.put(envelope).status for _ in range(3)] == ["exposed", "duplicate", "duplicate"]
    assert world.put(envelope | {"properties": {"surface": "t"}}).code == "event_id_conflict"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"variant": "other"}, "variant_mismatch"),
        ({"rule_version": 2}, "rule_version_mismatch"),
        ({"assignment_id": "6f1f8c1e-0d0e-5c55-9a51-0f6d3a0b7a11"}, "unknown_assignment"),
        ({"key": "q"}, "unknown_assignment"),
        ({"assignment_id": "not an id"}, "invalid_field"),
        ({"rule_version": "1"}, "invalid_field"),
        ({"rule_version": True}, "invalid_field"),
        ({"variant": None}, "invalid_field"),
    ],
)
def test_an_acknowledgement_that_does_not_match_is_refused_and_dead_lettered(said: Json, code: str) -> None:
    world = World(ON_RENDER)
    decision = world.send().decision
    before = world.rows()
    result = world.acknowledge(decision, **said)
    assert (result.status, result.code, result.on("exposures")) == ("rejected", code, [])
    (dead,) = result.on("deadletter")
    assert dead["reason"] == code
    assert world.rows() == before
    assert world.acknowledge(decision).status == "exposed"


def test_an_acknowledgement_without_experiment_is_refused() -> None:
    assert World(ON_RENDER).send("experiment_exposure").code == "invalid_field"


def test_an_acknowledgement_of_another_units_assignment_is_refused() -> None:
    world = World(ON_RENDER)
    theirs = world.send(unit="u-1").decision
    world.send(unit="u-2")
    assert world.acknowledge(theirs, "u-2").code == "unknown_assignment"
    assert world.acknowledge(theirs, "u-3").code == "unknown_assignment"


def test_a_held_out_unit_cannot_be_exposed() -> None:
    policies = snapshot(body(holdout="global"))
    unit = unit_of(policies, lambda decision: decision["holdout"])
    world = World(policies)
    decision = world.send(unit=unit).decision
    assert world.acknowledge(decision, unit, variant="A").code == "variant_mismatch"


@pytest.mark.parametrize(
    ("policy", "latency_ms"),
    [(body(), 500), (body(mode="shadow"), 40), (body(timing={"delay_seconds": 9}), 40)],
    ids=["late", "shadow", "delayed"],
)
def test_an_assignment_that_was_never_served_cannot_be_acknowledged(policy: Policy, latency_ms: float) -> None:
    world = World(snapshot(policy))
    decision = world.send(latency_ms=latency_ms).decision
    assert world.acknowledge(decision).code == "never_served"


def test_an_acknowledgement_after_the_kill_of_a_served_variant_still_counts() -> None:
    world = World(ON_RENDER)
    decision = world.send().decision
    assert world.govern(in_force(body(), "killed")).acknowledge(decision).status == "exposed"


def test_an_acknowledgement_after_the_policy_is_retired_still_counts() -> None:
    world = World(ON_RENDER)
    decision = world.send().decision
    assert world.govern().acknowledge(decision).status == "exposed"


def test_the_assignment_of_an_older_version_is_acknowledged_with_that_version() -> None:
    world = World(ON_RENDER)
    world.send()
    world.govern(in_force(body(), version=2, versions={1: body()}))
    decision = world.send().decision
    assert decision["rule_version"] == 1
    assert world.acknowledge(decision, rule_version=2).code == "rule_version_mismatch"
    assert world.acknowledge(decision).status == "exposed"


def test_a_reassigned_unit_is_exposed_once_more_for_its_new_assignment() -> None:
    world = World(ON_RENDER)
    first = world.send().decision
    world.acknowledge(first)
    only_c = [{"key": "C", "weight": 1.0, "action": RENDER_A}]
    world.govern(in_force(body(variants=only_c, reassign=True), version=2, versions={1: body()}))
    second = world.send().decision
    assert world.acknowledge(first).code == "unknown_assignment"
    assert world.acknowledge(second).status == "exposed"


def test_a_policy_that_counts_its_decisions_is_exposed_by_the_first_one_only() -> None:
    world = World(ON_DECISION)
    first = world.send()
    (exposure,) = first.on("exposures")
    assert first.journal["exposures"] == [exposure["exposure_id"]]
    assert (exposure["exposed_by"], exposure["surface"], exposure["user_id"]) == ("decision", "s", "u-1")
    assert exposure["governance"] == {"owner": "growth", "rollback_flag": "ff"}
    assert exposure["latency"]["rendered_ts"] is None
    for _ in range(3):
        assert world.send().on("exposures") == []
    assert world.acknowledge(first.decision).status == "duplicate"


@pytest.mark.parametrize(
    "changes", [{"mode": "shadow"}, {"timing": {"delay_seconds": 5}}, {"eligibility": {"context.device": "tv"}}]
)
def test_what_treats_nobody_exposes_nobody(changes: Json) -> None:
    assert World(snapshot(body(exposure="on_decision", **changes))).send().on("exposures") == []


def test_a_fallback_is_never_an_exposure_and_the_next_served_decision_is() -> None:
    world = World(ON_DECISION)
    assert world.send(latency_ms=500).on("exposures") == []
    assert len(world.send().on("exposures")) == 1


def test_a_held_out_unit_is_not_exposed_by_a_decision() -> None:
    policies = snapshot(body(exposure="on_decision", holdout="global"))
    unit = unit_of(policies, lambda decision: decision["holdout"])
    assert World(policies).send(unit=unit).on("exposures") == []


def test_a_late_render_time_of_a_wrong_type_is_no_duration() -> None:
    world = World(ON_RENDER)
    said = world.send().decision
    experiment = {"key": "p", "variant": said["variant"], "assignment_id": said["assignment_id"], "rule_version": 1}
    properties = {"decision_to_render_ms": "soon"}
    (exposure,) = world.send("experiment_exposure", experiment=experiment, properties=properties).on("exposures")
    assert (exposure["latency"]["decision_to_render_ms"], exposure["latency"]["signal_to_render_ms"]) == (None, None)
