"""The records as other programs read them: field names in order, vocabularies, ids and digests, recomputed independently.

The names are written out here on purpose: they are the contract, and a change of them has to be made twice.
"""

import orjson
import pytest

from app.contract.journal import REASONS, STATUSES
from tests.engine.recount import canonical, digest_of, uuid_of
from tests.engine.world import Json, Result, World, body, catalogue, in_force, snapshot, unit_of, worked_example

HEAD = [
    "schema", "unit", "session_id", "status", "input", "governance_offset", "governance_stale", "poison",
    "engine_semantics",
]  # fmt: skip
TAIL = ["latency", "state_digest"]
FIELDS_OF_STATUS = {
    "decided": ["exposures", "outcomes"],
    "no_match": ["exposures", "outcomes"],
    "outcome": ["exposures", "outcomes"],
    "duplicate": [],
    "rejected": ["rejection"],
    "exposed": ["exposures"],
    "fired": ["exposures", "timer_id", "due_ts", "set_by_decision_id"],
    "linked": ["identity", "links", "partitions"],
    "forwarded": ["links", "partitions"],
}
DECISION = [
    "decision_id", "decision_point", "policy", "kind", "mode", "rule_version", "phase", "active_rule_version",
    "eligible", "holdout", "assigned", "variant", "bucket", "assignment_id", "sticky", "action", "late", "reason",
    "timers_set", "timers_cancelled", "gates",
]  # fmt: skip
LATENCY = [
    "signal_ts", "received_ts", "appended_ts", "decided_ts", "client_skew_ms", "signal_to_decision_ms", "budget_ms",
    "within_budget",
]  # fmt: skip
EXPOSURE_LATENCY = [
    "signal_ts", "decided_ts", "visible_ts", "delivered_ts", "rendered_ts", "signal_to_decision_ms",
    "signal_to_delivered_ms", "decision_to_render_ms", "signal_to_render_ms", "budget_ms", "within_budget",
]  # fmt: skip
EXPOSURE_ADDED = ["schema", "exposure_id", "decision_id", "surface", "phase", "exposed_by", "latency"]
OUTCOME = ["schema", "outcome_id", "unit", "event_id", "event_name", "ts", "properties", "assignments"]
JOINED = [
    "policy", "variant", "assignment_id", "rule_version", "phase", "holdout", "exposed", "exposed_ts", "outcome",
    "within_window",
]  # fmt: skip
DEADLETTER = ["schema", "source", "reason", "message", "original_base64", "ts"]


def one_of_each() -> dict[str, Result]:
    """A result of every status of this engine."""
    outcomes = {"primary": {"event": "feature_used", "within_hours": 1, "kind": "binary"}}
    delayed = body("slow", timing={"delay_seconds": 5}, trigger={"event": "billing_intent", "decision_point": "x"})
    world = World(snapshot(body(outcomes=outcomes), delayed))
    event = world.event()
    found = {"decided": world.put(event), "duplicate": world.put(event), "rejected": world.put_raw("events.page_view", b"{")}
    found["exposed"] = world.acknowledge(found["decided"].decision)
    found["outcome"] = world.send("feature_used")
    found["no_match"] = world.send("error_or_latency")
    world.send("billing_intent")
    (found["fired"],) = world.wait(5).tick()
    login = world.event("identify", anonymous_id="a-9")
    found["linked"] = world.put_raw("events.identify", orjson.dumps(login), b"anon:a-9")
    found["forwarded"] = world.send(user_id=None, anonymous_id="a-9")
    return found


@pytest.mark.parametrize("status", FIELDS_OF_STATUS)
def test_a_journal_record_of_each_status_has_exactly_its_fields_in_order(status: str) -> None:
    journal = one_of_each()[status].journal
    assert journal["status"] == status
    assert list(journal) == [*HEAD, "decisions", *FIELDS_OF_STATUS[status], *TAIL]
    assert list(journal["input"]) == ["topic", "partition", "offset", "event_id"]
    assert list(journal["latency"]) == LATENCY
    assert (journal["schema"], journal["engine_semantics"]) == ("truelift.decision/1", 1)
    for decision in journal["decisions"]:
        assert list(decision) == DECISION
        assert all(list(gate) == ["gate", "passed", "why"] for gate in decision["gates"])
        assert all(list(timer) == ["timer_id", "due_ts"] for timer in decision["timers_set"])


def test_the_statuses_of_this_engine_are_of_the_closed_list() -> None:
    assert set(one_of_each()) == set(FIELDS_OF_STATUS) <= set(STATUSES)


def test_the_reasons_are_the_closed_list() -> None:
    assert set(REASONS) == {
        "assigned", "sticky", "killed", "paused", "holdout", "ineligible", "layer_excluded", "not_covered", "delayed",
        "waiting", "expired", "late_fallback", "model_unavailable", "governance_stale", "identity_pending", "shadow",
        "non_experimental",
    }  # fmt: skip


def test_an_exposure_is_the_envelope_with_exactly_its_added_fields() -> None:
    world = World(snapshot(body()))
    decision = world.send().decision
    (exposure,) = world.acknowledge(decision).on("exposures")
    envelope = [*world.event("experiment_exposure"), "experiment"]
    assert set(exposure) == {*envelope, *EXPOSURE_ADDED}
    assert list(exposure)[-len(EXPOSURE_ADDED) :] == EXPOSURE_ADDED
    assert list(exposure["latency"]) == EXPOSURE_LATENCY


def test_an_exposure_on_decision_has_the_same_fields_as_a_rendered_one() -> None:
    (exposure,) = World(snapshot(body(exposure="on_decision"))).send().on("exposures")
    for field in ("event_name", "event_id", "user_id", "session_id", "ts", "properties", "context", "experiment", "governance"):
        assert field in exposure
    assert list(exposure)[-len(EXPOSURE_ADDED) :] == EXPOSURE_ADDED
    assert list(exposure["latency"]) == EXPOSURE_LATENCY
    assert list(exposure["experiment"]) == ["key", "variant", "assignment_id", "rule_version"]


def test_an_outcome_and_a_dead_letter_have_exactly_their_fields() -> None:
    results = one_of_each()
    (outcome,) = results["outcome"].on("outcomes")
    assert list(outcome) == OUTCOME
    assert [list(joined) for joined in outcome["assignments"]] == [JOINED]
    (dead,) = results["rejected"].on("deadletter")
    assert list(dead) == DEADLETTER
    assert list(dead["source"]) == ["topic", "partition", "offset"]


def test_every_output_is_keyed_by_the_unit_and_the_journal_comes_first() -> None:
    for status, result in one_of_each().items():
        assert result.step.outputs[0].topic == "decisions"
        links = [output for output in result.step.outputs if output.topic == "identity_links"]
        own = [output for output in result.step.outputs if output not in links]
        assert {output.topic for output in own[1:]} <= {"exposures", "outcomes", "deadletter"}
        assert {output.key for output in own} == {b"anon:a-9" if links else b"u-1"}, status
        assert {output.key for output in links} <= {b"u-1"}, "a link is keyed by whom it is for"


def test_every_id_is_the_uuid5_of_its_parts() -> None:
    world = World(snapshot(body(outcomes={"primary": {"event": "feature_used", "within_hours": 1, "kind": "binary"}})))
    decision = world.send().decision
    assert decision["decision_id"] == uuid_of("events.page_view", 3, 0, "p")
    assert decision["assignment_id"] == uuid_of("u-1", "p", 1, "assignment")
    (exposure,) = world.acknowledge(decision).on("exposures")
    assert exposure["exposure_id"] == uuid_of(decision["assignment_id"], "exposure")
    result = world.send("feature_used")
    (outcome,) = result.on("outcomes")
    assert outcome["outcome_id"] == uuid_of(result.journal["input"]["event_id"], "u-1", "outcome")


def test_a_timers_id_is_that_of_the_decision_that_set_it_and_a_fired_decision_has_one_of_its_own() -> None:
    world = World(snapshot(body(timing={"delay_seconds": 5})))
    decided = world.send().decision
    assert decided["timers_set"][0]["timer_id"] == uuid_of(decided["decision_id"], "timer", 0)
    (fired,) = world.wait(5).tick()
    assert fired.decision["decision_id"] == uuid_of("ticks", 3, 0, "p")


@pytest.mark.parametrize("source", [None, "", "web"])
def test_an_sdk_id_becomes_the_uuid5_of_source_and_id_and_the_original_is_kept(source: str | None) -> None:
    world = World(snapshot(body()))
    result = world.send(event_id="sdk-1", source=source)
    assert result.journal["input"]["event_id"] == uuid_of(source or "", "sdk-1")
    experiment = {"key": "p", "variant": result.decision["variant"], "rule_version": 1}
    experiment["assignment_id"] = result.decision["assignment_id"]
    acknowledged = world.send("experiment_exposure", event_id="sdk-2", source=source, experiment=experiment)
    (exposure,) = acknowledged.on("exposures")
    assert (exposure["event_id"], exposure["source_id"]) == (uuid_of(source or "", "sdk-2"), "sdk-2")


def test_the_state_digest_is_that_of_the_units_rows_as_stored_after_the_record() -> None:
    world = World(snapshot(body(holdout="global", timing={"delay_seconds": 5}), body("now", exposure="on_decision")))
    for unit in ("u-1", "u-2", "ünï-😀", "u-1"):
        result = world.wait(1).send(unit=unit, org="Zürich", pricing_model="per seat")
        assert result.journal["state_digest"] == digest_of(world.rows(), unit)
    for fired in world.wait(60).steps("ticks", b"", None):
        assert len(fired.journal["state_digest"]) == 16
    assert fired.journal["state_digest"] == digest_of(world.rows(), fired.journal["unit"])


def test_rows_are_stored_as_canonical_json() -> None:
    world = World(snapshot(body(holdout="global"), body("slow", timing={"delay_seconds": 5})))
    world.send(org="Zürich")
    rows = world.rows()
    for row in [*rows["eligibility"].values(), *rows["assignments"].values(), *rows["timers"].values()]:
        assert row == canonical(row)


def test_the_worked_example_assigns_acknowledges_and_joins_as_described() -> None:
    example = worked_example()
    full = catalogue(
        event_types={"support_contact": {"budget_ms": 1000, "class": "low"}},
        holdouts={"global": {"seed": "global", "permille": 100}},
    )
    policies = snapshot(in_force(example, version=3, phase=9, coverage_permille=1000), offset=12, catalogue=full)
    unit = unit_of(policies, lambda decision: decision["variant"] == "B")
    world = World(policies)
    result = world.send(unit=unit)
    expected: Json = {
        "decision_point": "onboarding.nudge",
        "policy": "onboarding_nudge_v1",
        "kind": "experiment",
        "mode": "live",
        "rule_version": 3,
        "phase": 9,
        "reason": "assigned",
        "action": {
            "kind": "render",
            "slot": "onboarding.nudge",
            "component": "nudge",
            "payload": {"copy": "Create your first project"},
        },
    }
    assert {name: result.decision[name] for name in expected} == expected
    assert result.journal["governance_offset"] == 12
    assert world.acknowledge(result.decision, unit).status == "exposed"
    outcome = world.send("activation_milestone", unit, properties={"name": "project_created"})
    assert outcome.on("outcomes")[0]["assignments"][0]["exposed"] is True
    assert world.send(unit=unit).reason == "ineligible"


def test_records_are_compact_json_without_repeated_fields() -> None:
    for result in one_of_each().values():
        for output in result.step.outputs:
            assert orjson.dumps(orjson.loads(output.value)) == output.value
