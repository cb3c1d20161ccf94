"""Slow as a treatment: delays, awaited intents, expiry, and timers that fire on ticks by the broker's time."""

import pytest

from app.engine.policies import Policies
from tests.engine.world import FALLBACK, RENDER_A, RENDER_B, START_US, Json, World, body, catalogue, in_force, snapshot, unit_of

SECOND_US = 1_000_000
DELAY: Json = {"delay_seconds": 10, "expires_seconds": 60}
WAIT: Json = {"wait_for": {"event": "billing_intent", "where": {"properties.name": "compare"}}, "expires_seconds": 60}
COMPARE: Json = {"properties": {"name": "compare"}}
DELAYED, WAITING = snapshot(body(timing=DELAY)), snapshot(body(timing=WAIT))


def timers(world: World) -> int:
    return len(world.rows()["timers"])


def test_a_delay_sets_one_timer_and_a_tick_at_its_due_time_fires_it() -> None:
    world = World(DELAYED)
    decided = world.send()
    (timer,) = decided.decision["timers_set"]
    assert (decided.reason, timer["due_ts"]) == ("delayed", "2026-11-22T10:15:40.000000Z")
    assert world.wait(9.999).tick() == []
    (fired,) = world.wait(0.001).tick()
    assert (fired.status, fired.reason, fired.stopped_at) == ("fired", "sticky", None)
    assert fired.decision["action"] in (RENDER_A, RENDER_B)
    assert fired.journal["timer_id"] == timer["timer_id"]
    assert fired.journal["due_ts"] == timer["due_ts"]
    assert fired.journal["set_by_decision_id"] == decided.decision["decision_id"]
    assert fired.decision["decision_id"] != decided.decision["decision_id"]
    assert timers(world) == 0
    assert world.wait(100).tick() == []


def test_a_tick_without_due_timers_puts_nothing_out_and_writes_nothing() -> None:
    world = World(DELAYED)
    before = world.rows()
    assert world.steps("ticks", b"{}", None) == []
    assert world.rows() == before


def test_a_trigger_while_a_timer_is_set_sets_no_second_one() -> None:
    for policies, reason in (DELAYED, "delayed"), (WAITING, "waiting"):
        world = World(policies)
        world.send()
        again = world.wait(1).send()
        assert (again.reason, again.stopped_at, again.decision["timers_set"]) == (reason, "timing", [])
        assert timers(world) == 1


@pytest.mark.parametrize(
    ("later", "reason", "gate"),
    [
        (snapshot(in_force(body(timing=DELAY), "killed")), "killed", "kill"),
        (snapshot(in_force(body(timing=DELAY), "paused")), "paused", "kill"),
        (snapshot(body(timing=DELAY), everything="killed"), "killed", "kill"),
        (snapshot(body(timing=DELAY, eligibility={"user.counts.feature_used": {"$lt": 1}})), "ineligible", "eligibility"),
    ],
)
def test_at_firing_kill_pause_and_eligibility_are_asked_again(later: Policies, reason: str, gate: str) -> None:
    world = World(DELAYED)
    world.send()
    world.send("feature_used")
    world.policies = later
    (fired,) = world.wait(10).tick()
    assert (fired.reason, fired.stopped_at, fired.decision["action"]) == (reason, gate, None)
    assert timers(world) == 0
    assert not world.row("assignments")["pending"]


def test_a_stale_governance_log_stops_a_timer_that_fires() -> None:
    world = World(DELAYED)
    world.send()
    (fired,) = world.wait(10).tick(stale=True)
    assert (fired.reason, fired.journal["governance_stale"]) == ("governance_stale", True)


def test_at_firing_conditions_see_the_context_that_triggered_and_the_user_of_now() -> None:
    condition = {"context.route": "/app/onboarding", "user.counts.feature_used": {"$lt": 2}}
    world = World(snapshot(body(timing=DELAY, eligibility=condition)))
    world.send()
    world.send("feature_used", context={"route": "/elsewhere"})
    (fired,) = world.wait(10).tick()
    assert fired.reason == "sticky"
    world.wait(1).send()
    world.send("feature_used")
    (fired,) = world.wait(10).tick()
    assert fired.reason == "ineligible"


def test_a_delay_that_could_not_fire_in_time_is_expired() -> None:
    for seconds, reason in (60, "sticky"), (60.001, "expired"):
        world = World(DELAYED)
        world.send()
        (fired,) = world.wait(seconds).tick()
        assert fired.reason == reason
        assert (fired.decision["action"] is None) == (reason == "expired")


def test_a_late_tick_decides_by_its_append_time_and_not_by_the_worker_clock() -> None:
    world = World(DELAYED)
    world.send()
    world.wait(10)
    (fired,) = world.steps("ticks", b"{}", None, latency_ms=3_600_000)
    assert (fired.reason, fired.decision["late"], fired.decision["action"]) == ("late_fallback", True, FALLBACK)


def test_a_policy_that_waits_treats_when_the_intent_comes_and_cancels_its_timer() -> None:
    world = World(WAITING)
    waiting = world.send()
    (timer,) = waiting.decision["timers_set"]
    assert (waiting.reason, timer["due_ts"]) == ("waiting", "2026-11-22T10:16:30.000000Z")
    intent = world.wait(20).send("billing_intent", **COMPARE)
    assert (intent.status, intent.reason) == ("decided", "sticky")
    assert intent.decision["timers_cancelled"] == [timer["timer_id"]]
    assert intent.decision["gates"][0] == {"gate": "trigger", "passed": True, "why": "intent"}
    assert intent.decision["action"] in (RENDER_A, RENDER_B)
    assert timers(world) == 0
    assert world.wait(100).tick() == []


def test_an_intent_that_does_not_match_or_of_another_unit_leaves_it_waiting() -> None:
    world = World(WAITING)
    world.send()
    assert world.send("billing_intent", properties={"name": "other"}).status == "no_match"
    assert world.send("billing_intent", "u-2", **COMPARE).status == "no_match"
    assert timers(world) == 1


def test_a_wait_without_intent_expires_at_the_tick_after_its_time() -> None:
    world = World(WAITING)
    world.send()
    assert world.wait(59.999).tick() == []
    (fired,) = world.wait(0.001).tick()
    assert (fired.status, fired.reason, fired.stopped_at, fired.decision["action"]) == ("fired", "expired", "timing", None)
    assert world.wait(1).send("billing_intent", **COMPARE).status == "no_match"


def test_an_intent_after_its_time_is_expired_even_if_no_tick_has_come_yet() -> None:
    for seconds, reason in (60, "sticky"), (60.001, "expired"):
        world = World(WAITING)
        world.send()
        intent = world.wait(seconds).send("billing_intent", **COMPARE)
        assert (intent.reason, timers(world)) == (reason, 0)


def test_an_intent_of_a_killed_policy_treats_nobody_and_ends_the_wait() -> None:
    world = World(WAITING)
    world.send()
    intent = world.govern(in_force(body(timing=WAIT), "killed")).send("billing_intent", **COMPARE)
    assert (intent.reason, intent.decision["action"], timers(world)) == ("killed", None, 0)


def test_an_intent_sees_the_context_that_triggered() -> None:
    world = World(snapshot(body(timing=WAIT, eligibility={"context.route": "/app/onboarding"})))
    world.send()
    assert world.send("billing_intent", **COMPARE, context={"route": "/billing"}).reason == "sticky"


def test_a_delay_after_an_intent_runs_from_the_intent_and_fires_on_a_tick() -> None:
    world = World(snapshot(body(timing=WAIT | {"delay_seconds": 5})))
    (awaited,) = world.send().decision["timers_set"]
    intent = world.wait(20).send("billing_intent", **COMPARE)
    (delayed,) = intent.decision["timers_set"]
    assert (intent.reason, intent.decision["timers_cancelled"]) == ("delayed", [awaited["timer_id"]])
    assert delayed["due_ts"] == "2026-11-22T10:15:55.000000Z"
    (fired,) = world.wait(5).tick()
    assert (fired.reason, fired.journal["timer_id"], timers(world)) == ("sticky", delayed["timer_id"], 0)


def test_an_awaited_event_that_is_also_the_trigger_decides_once() -> None:
    wait = {"wait_for": {"event": "page_view", "where": {"context.route": "/pricing"}}, "expires_seconds": 60}
    world = World(snapshot(body(timing=wait)))
    assert world.send().reason == "waiting"
    assert world.send().reason == "waiting"
    assert world.send(context={"route": "/pricing"}).reason == "sticky"


def test_variants_may_differ_in_timing_only() -> None:
    variants = [
        {"key": "fast", "weight": 0.5, "action": RENDER_B},
        {"key": "slow", "weight": 0.5, "action": RENDER_B, "timing": DELAY},
    ]
    policies = snapshot(body(variants=variants))
    fast = unit_of(policies, lambda decision: decision["variant"] == "fast")
    slow = unit_of(policies, lambda decision: decision["variant"] == "slow")
    world = World(policies)
    assert (world.send(unit=fast).reason, world.send(unit=slow).reason) == ("assigned", "delayed")
    (fired,) = world.wait(10).tick()
    assert (fired.journal["unit"], fired.decision["action"]) == (slow, RENDER_B)


def test_a_unit_keeps_the_timing_of_the_version_it_was_assigned_by() -> None:
    world = World(DELAYED)
    world.send()
    world.wait(10).tick()
    world.govern(in_force(body(), version=2, versions={1: body(timing=DELAY)}))
    assert world.send().reason == "delayed"
    assert world.send(unit="u-2").reason == "assigned"


def test_two_timers_of_one_unit_fire_in_one_tick_and_each_sees_the_row_of_the_one_before() -> None:
    world = World(snapshot(body("one", timing=DELAY), body("two", timing=DELAY)))
    assert len(world.send().journal["decisions"]) == 2
    first, second = world.wait(10).tick()
    assert sorted(fired.decision["policy"] for fired in (first, second)) == ["one", "two"]
    assert {fired.reason for fired in (first, second)} == {"sticky"}
    assert (world.row("assignments")["pending"], timers(world)) == ({}, 0)


def test_a_tick_fires_at_most_the_bound_and_the_next_one_the_rest_in_order_of_due_time() -> None:
    bounded = catalogue(bounds={"timers_per_tick": 3})
    world = World(snapshot(body(timing=DELAY), catalogue=bounded))
    for number in range(7):
        world.wait(0.001).send(unit=f"u-{number}")
    world.wait(20)
    fired = [[result.journal["unit"] for result in world.tick()] for _ in range(4)]
    assert fired == [["u-0", "u-1", "u-2"], ["u-3", "u-4", "u-5"], ["u-6"], []]


def test_a_timer_of_a_retired_policy_fires_without_a_decision_and_is_gone() -> None:
    world = World(DELAYED)
    world.send()
    (fired,) = world.govern().wait(10).tick()
    assert (fired.status, fired.journal["decisions"], timers(world)) == ("fired", [], 0)
    assert not world.row("assignments")["pending"]


def test_an_intent_for_a_retired_policy_is_an_ordinary_signal() -> None:
    world = World(WAITING)
    world.send()
    assert world.govern().send("billing_intent", **COMPARE).status == "no_match"


def test_a_held_out_unit_never_gets_a_timer() -> None:
    policies = snapshot(body(timing=DELAY, holdout="global"))
    unit = unit_of(policies, lambda decision: decision["holdout"])
    world = World(policies)
    assert world.send(unit=unit).decision["timers_set"] == []
    assert timers(world) == 0


def test_a_reassigning_version_moves_a_unit_whose_timer_fires_under_it() -> None:
    world = World(DELAYED)
    world.send()
    only_c = [{"key": "C", "weight": 1.0, "action": RENDER_A}]
    world.govern(in_force(body(variants=only_c, reassign=True), version=2, versions={1: body(timing=DELAY)}))
    (fired,) = world.wait(10).tick()
    assert (fired.reason, fired.decision["variant"], fired.decision["rule_version"]) == ("assigned", "C", 2)


def test_a_fired_record_has_no_session_and_counts_from_the_tick() -> None:
    world = World(DELAYED)
    world.send()
    (fired,) = world.wait(11).tick()
    latency = fired.journal["latency"]
    assert (fired.journal["session_id"], fired.journal["input"]["event_id"]) == (None, None)
    assert fired.journal["input"]["topic"] == "ticks"
    assert (latency["signal_ts"], latency["received_ts"], latency["client_skew_ms"]) == (None, None, None)
    assert (latency["appended_ts"], latency["signal_to_decision_ms"]) == ("2026-11-22T10:15:41.000000Z", 40.0)
    assert world.now_us == START_US + 11 * SECOND_US


def test_an_exposure_on_decision_of_a_delayed_treatment_is_made_when_it_fires() -> None:
    world = World(snapshot(body(timing=DELAY, exposure="on_decision")))
    assert world.send().on("exposures") == []
    (fired,) = world.wait(10).tick()
    (exposure,) = fired.on("exposures")
    assert fired.journal["exposures"] == [exposure["exposure_id"]]
    assert (exposure["user_id"], exposure["latency"]["signal_ts"]) == ("u-1", None)
