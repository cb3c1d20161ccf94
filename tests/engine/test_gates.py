"""Each gate of a decision, passing and stopping: the reason, the gates listed, and what becomes of the unit."""

import pytest

from app.contract.journal import GATES
from app.contract.policy import Policy
from app.engine.policies import Policies
from tests.engine.world import FALLBACK, RENDER_A, RENDER_B, World, body, catalogue, in_force, snapshot, unit_of

WAITS = {"wait_for": {"event": "billing_intent", "where": {}}, "expires_seconds": 60}


def test_a_decision_that_passes_every_gate_lists_all_ten_in_the_designs_order() -> None:
    decision = World(snapshot(body())).send().decision
    assert [gate["gate"] for gate in decision["gates"]] == list(GATES)
    assert all(gate["passed"] for gate in decision["gates"])
    assert (decision["reason"], decision["eligible"], decision["assigned"], decision["holdout"]) == (
        "assigned",
        True,
        True,
        False,
    )
    assert decision["action"] == {"A": RENDER_A, "B": RENDER_B}[decision["variant"]]


def test_an_event_of_another_type_triggers_nothing_and_is_no_match() -> None:
    result = World(snapshot(body())).send("feature_used")
    assert (result.status, result.journal["decisions"]) == ("no_match", [])


def test_every_triggered_policy_decides_and_no_other() -> None:
    world = World(
        snapshot(body("one"), body("two"), body("other", trigger={"event": "feature_used", "decision_point": "point"}))
    )
    result = world.send()
    assert result.status == "decided"
    assert [decision["policy"] for decision in result.journal["decisions"]] == ["one", "two"]


@pytest.mark.parametrize(("asked", "decided"), [({"flag": "one"}, ["one"]), ({}, ["one", "two"]), ({"flag": "ff_one"}, [])])
def test_who_asks_for_one_flag_has_not_asked_for_the_others(asked: dict[str, str], decided: list[str]) -> None:
    point = {"event": "flag_evaluation", "decision_point": "point"}
    world = World(snapshot(body("one", trigger=point), body("two", trigger=point)))
    result = world.send("flag_evaluation", properties=asked)
    assert [decision["policy"] for decision in result.journal["decisions"]] == decided


@pytest.mark.parametrize(
    ("policies", "reason"),
    [
        (snapshot(in_force(body(), "killed")), "killed"),
        (snapshot(in_force(body(), "paused")), "paused"),
        (snapshot(body(), point="killed"), "killed"),
        (snapshot(body(), point="paused"), "paused"),
        (snapshot(body(), everything="killed"), "killed"),
        (snapshot(body(), everything="paused"), "paused"),
        (snapshot(in_force(body(), "paused"), everything="killed"), "killed"),
        (snapshot(in_force(body(), "killed"), everything="paused"), "killed"),
    ],
)
def test_a_kill_or_pause_of_policy_point_or_everything_stops_at_the_second_gate(policies: Policies, reason: str) -> None:
    result = World(policies).send()
    assert (result.reason, result.stopped_at) == (reason, "kill")
    assert (result.decision["action"], result.decision["assigned"], result.decision["eligible"]) == (None, False, False)


def test_a_switch_of_another_decision_point_stops_nothing() -> None:
    other = body(trigger={"event": "page_view", "decision_point": "elsewhere"})
    assert World(snapshot(other, point="killed")).send().reason == "assigned"


def test_a_killed_policy_leaves_the_assignment_and_serves_it_again_when_it_runs_again() -> None:
    world = World(snapshot(body()))
    first = world.send().decision
    assert world.govern(in_force(body(), "killed")).send().reason == "killed"
    again = world.govern(body()).send().decision
    assert (again["reason"], again["variant"], again["assignment_id"]) == ("sticky", first["variant"], first["assignment_id"])


def test_a_stale_governance_log_stops_treating_at_the_kill_gate_and_is_journalled() -> None:
    world = World(snapshot(body()))
    result = world.send(stale=True)
    assert (result.reason, result.stopped_at, result.journal["governance_stale"]) == ("governance_stale", "kill", True)
    assert result.decision["action"] is None
    assert not world.row("assignments")
    assert world.send().reason == "assigned"


def test_a_kill_counts_before_staleness() -> None:
    assert World(snapshot(in_force(body(), "killed"))).send(stale=True).reason == "killed"


@pytest.mark.parametrize(
    "condition",
    [
        {"context.route": {"$regex": "^/billing"}},
        {"event.properties.plan": "pro"},
        {"user.counts.page_view": {"$gte": 1}},
        {"session.events": {"$gte": 1}},
    ],
)
def test_a_condition_over_event_context_user_or_session_that_does_not_match_is_ineligible(condition: dict[str, object]) -> None:
    world = World(snapshot(body(eligibility=condition)))
    result = world.send()
    assert (result.reason, result.stopped_at) == ("ineligible", "eligibility")
    assert (result.decision["eligible"], result.decision["assigned"]) == (False, False)
    assert not world.row("assignments")


def test_conditions_see_the_user_and_session_as_they_were_before_the_record() -> None:
    world = World(snapshot(body(eligibility={"user.counts.page_view": 1, "session.events": 1})))
    assert [world.send().reason for _ in range(3)] == ["ineligible", "assigned", "ineligible"]


def test_a_saved_group_of_the_catalogue_decides_eligibility() -> None:
    beta = catalogue(saved_groups={"beta": ["u-1"]})
    policy = body(eligibility={"event.user_id": {"$inGroup": "beta"}})
    world = World(snapshot(policy, catalogue=beta))
    assert (world.send(unit="u-1").reason, world.send(unit="u-2").reason) == ("assigned", "ineligible")


def test_an_eligible_held_out_unit_gets_an_assignment_without_action() -> None:
    policies = snapshot(body(holdout="global"))
    unit = unit_of(policies, lambda decision: decision["holdout"])
    world = World(policies)
    result = world.send(unit=unit)
    decision = result.decision
    assert (decision["reason"], result.stopped_at, decision["action"], decision["variant"]) == (
        "holdout",
        "holdout",
        None,
        None,
    )
    assert decision["assignment_id"] is not None
    assert world.row("assignments", unit)["assignments"]["p"]["holdout"] is True


def test_an_ineligible_unit_is_never_held_out() -> None:
    policies = snapshot(body(holdout="global"))
    unit = unit_of(policies, lambda decision: decision["holdout"])
    result = World(snapshot(body(holdout="global", eligibility={"context.device": "tv"}))).send(unit=unit)
    assert (result.reason, result.decision["holdout"]) == ("ineligible", False)


def test_a_unit_outside_the_policys_share_of_a_layer_is_excluded() -> None:
    policies = snapshot(body(layer={"name": "front", "range": [0.0, 0.5]}))
    unit = unit_of(policies, lambda decision: decision["reason"] == "layer_excluded")
    result = World(policies).send(unit=unit)
    assert (result.stopped_at, result.decision["eligible"], result.decision["assigned"]) == ("layer", True, False)


def test_a_unit_outside_the_coverage_keeps_its_bucket_and_gets_nothing() -> None:
    policies = snapshot(body(coverage_permille=100))
    unit = unit_of(policies, lambda decision: decision["reason"] == "not_covered")
    world = World(policies)
    result = world.send(unit=unit)
    assert (result.stopped_at, result.decision["variant"], result.decision["action"]) == ("coverage", None, None)
    assert 0 <= result.decision["bucket"] < 1
    assert not world.row("assignments", unit)


def test_a_policy_that_waits_stops_at_timing_with_a_variant_assigned() -> None:
    for timing, reason in ({"delay_seconds": 5}, "delayed"), (WAITS, "waiting"):
        result = World(snapshot(body(timing=timing))).send()
        assert (result.reason, result.stopped_at) == (reason, "timing")
        assert (result.decision["assigned"], result.decision["action"]) == (True, None)


def test_a_late_decision_stops_at_the_last_gate_and_takes_the_fallback() -> None:
    result = World(snapshot(body())).send(latency_ms=500)
    assert (result.reason, result.stopped_at) == ("late_fallback", "lateness")
    assert (result.decision["late"], result.decision["assigned"], result.decision["action"]) == (True, True, FALLBACK)


def test_shadow_decides_and_journals_but_treats_nobody() -> None:
    world = World(snapshot(body(mode="shadow")))
    first, second = world.send(), world.send()
    for result in (first, second):
        decision = result.decision
        assert (decision["reason"], result.stopped_at, decision["mode"]) == ("shadow", None, "shadow")
        assert (decision["assigned"], decision["action"]) == (True, None)
    assert (first.decision["sticky"], second.decision["sticky"]) == (False, True)


def test_a_late_shadow_decision_is_a_shadow_decision_without_fallback() -> None:
    result = World(snapshot(body(mode="shadow"))).send(latency_ms=500)
    assert (result.reason, result.decision["late"], result.decision["action"]) == ("shadow", True, None)


def test_personalization_treats_but_is_never_an_experiment() -> None:
    world = World(snapshot(body(kind="personalization")))
    for _ in range(2):
        decision = world.send().decision
        assert (decision["reason"], decision["kind"], decision["assigned"]) == ("non_experimental", "personalization", True)
        assert decision["action"] in (RENDER_A, RENDER_B)


@pytest.mark.parametrize("policy", [body(mode="shadow"), body(kind="personalization")])
def test_a_stop_has_its_own_reason_whatever_the_mode_and_kind(policy: Policy) -> None:
    assert World(snapshot(in_force(policy, "killed"))).send().reason == "killed"
