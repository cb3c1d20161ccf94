"""Properties over random bytes, envelopes and histories: no exception, determinism, stickiness, exposed once, true digests."""

from random import Random
from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.contract.journal import GATES, REASONS, STATUSES
from app.contract.topics import DECISION_DELIVERY, EXPERIMENT_EXPOSURE, IDENTIFY, IDENTITY_LINKS, TICKS
from app.engine.process import process, process_poison
from app.engine.values import InputRecord, Moment
from tables.memory import MemoryState
from tests.engine.histories import EVENTS, Act, History, histories, random_history, replay
from tests.engine.recount import digest_of, uuid_of
from tests.engine.world import START_US, Json, World, body, snapshot

TOPICS = (*(f"events.{name}" for name in EVENTS), EXPERIMENT_EXPOSURE, DECISION_DELIVERY, IDENTIFY, IDENTITY_LINKS, TICKS)
POLICIES = snapshot(
    body(
        "p",
        eligibility={"event.properties.x": {"$not": {"$gt": 5}}, "context.route": {"$regex": ""}},
        timing={"delay_seconds": 0},
    ),
    body("q", eligibility={"$or": [{"event.properties.x": {"$in": ["a"]}}, {"event.properties": {"$exists": True}}]}),
    body("r", eligibility={"event.properties.x": {"$elemMatch": {"$vgt": "1.2"}}}),
    body("s", eligibility={"event.properties.x": {"$all": [1], "$size": {"$gt": 0}}}),
)

bounded = settings(max_examples=30, deadline=None)
many = settings(max_examples=80, deadline=None)

numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = (
    "event_name", "event_id", "user_id", "anonymous_id", "session_id", "ts", "received_ts", "properties", "context",
    "experiment", "governance", "org", "pricing_model", "source", "source_id", "other",
)  # fmt: skip
DELETED = object()
changed_fields = st.dictionaries(st.sampled_from(FIELDS), json_values | st.just(DELETED), max_size=3)


def put(topic: str, key: bytes | None, value: bytes, appended_us: int = START_US) -> list[Json]:
    """Journal records of one record on fresh state; what came in must come out as exactly one, unless it is a tick."""
    state = MemoryState()
    found = []
    for step in process(InputRecord(topic, 0, 0, appended_us, key, value), state, POLICIES, Moment(appended_us + 1)):
        state.store(step.writes)
        found += [orjson.loads(output.value) for output in step.outputs if output.topic == "decisions"]
    assert len(found) == (0 if topic == TICKS else 1)
    assert all(journal["status"] in STATUSES for journal in found)
    return found


@many
@given(st.sampled_from(TOPICS), st.none() | st.binary(max_size=12), st.binary(max_size=64))
def test_no_bytes_on_any_topic_raise(topic: str, key: bytes | None, value: bytes) -> None:
    for journal in put(topic, key, value):
        assert journal["status"] == "rejected"
    record = InputRecord(topic, 0, 0, START_US, key, value)
    assert process_poison(record, POLICIES, Moment(START_US)).outputs[0].topic == "decisions"


@many
@given(
    st.sampled_from(EVENTS), st.dictionaries(st.sampled_from(FIELDS), json_values | st.just(DELETED), max_size=3), st.booleans()
)
@example("page_view", {"user_id": "anon:x"}, True)
@example("page_view", {"ts": "0001-01-01T00:00:00+23:59"}, True)
def test_no_envelope_raises_whatever_its_fields_hold(name: str, changes: Json, experiment: bool) -> None:
    envelope = World(POLICIES).event("experiment_exposure" if experiment else name)
    envelope["experiment"] = {"key": "p", "variant": "A", "assignment_id": envelope["event_id"], "rule_version": 1}
    envelope = {field: value for field, value in (envelope | changes).items() if value is not DELETED}
    user = envelope.get("user_id")
    key = user.encode() if isinstance(user, str) else b"u-1"
    sent = envelope.get("event_name")
    put(f"events.{sent if sent in EVENTS else name}", key, orjson.dumps(envelope))


@many
@given(json_values, json_values, st.text(min_size=1, max_size=20))
def test_no_value_that_a_condition_looks_at_raises(x: Any, route: Any, unit: str) -> None:
    envelope = World(POLICIES).event(unit=unit, properties={"x": x}, context={"route": route})
    (journal,) = put("events.page_view", unit.encode(), orjson.dumps(envelope))
    named = not unit.startswith("anon:") and not {"\x00", "\x1f"} & set(unit)
    assert journal["status"] == ("decided" if named else "rejected")


@bounded
@given(histories())
def test_replaying_a_history_gives_the_same_bytes_and_the_same_rows(acts: list[Act]) -> None:
    history = History(acts)
    again = World(history.world.policies)
    assert replay(history, again.state) == [one.outputs for one in history.played]
    assert again.rows() == history.world.rows()


@bounded
@given(histories())
def test_every_record_has_one_journal_record_and_a_tick_one_for_each_timer_in_order(acts: list[Act]) -> None:
    for one in History(acts).played:
        journal = [orjson.loads(output.value) for output in one.outputs if output.topic == "decisions"]
        if one.record.topic == TICKS:
            assert {record["status"] for record in journal} <= {"fired"}
        else:
            assert len(journal) == 1
        for record in journal:
            position = {"topic": one.record.topic, "partition": one.record.partition, "offset": one.record.offset}
            assert record["input"] == position | {"event_id": record["input"]["event_id"]}
            assert record["governance_offset"] == one.governance_offset


@bounded
@given(histories())
def test_words_of_the_journal_are_of_the_closed_lists_and_gates_end_at_the_first_failure(acts: list[Act]) -> None:
    for record in History(acts).journal():
        assert record["status"] in STATUSES
        for decision in record["decisions"]:
            assert decision["reason"] in REASONS
            names = [gate["gate"] for gate in decision["gates"]]
            assert names == list(GATES)[: len(names)]
            assert all(gate["passed"] for gate in decision["gates"][:-1])
            assert len(names) == len(GATES) or not decision["gates"][-1]["passed"]
            treats = decision["reason"] in ("assigned", "sticky", "non_experimental", "late_fallback")
            assert (decision["action"] is not None) == treats
            assert not (decision["holdout"] and (decision["assigned"] or decision["action"]))
            assert (decision["variant"] is not None) == decision["assigned"]


@bounded
@given(histories(reassign=False))
def test_a_unit_once_assigned_or_held_out_stays_so_through_every_edit(acts: list[Act]) -> None:
    first: dict[tuple[str, str], Json] = {}
    for record in History(acts).journal():
        for decision in record["decisions"]:
            if decision["assignment_id"] is None:
                continue
            bound = first.setdefault((record["unit"], decision["policy"]), decision)
            for field in ("assignment_id", "variant", "rule_version", "phase", "holdout"):
                assert decision[field] == bound[field]


@bounded
@given(histories())
def test_only_a_version_that_is_newer_than_the_assignment_moves_a_unit(acts: list[Act]) -> None:
    history = History(acts)
    last: dict[tuple[str, str], Json] = {}
    for record in history.journal():
        for decision in record["decisions"]:
            if decision["assignment_id"] is None:
                continue
            key = (record["unit"], decision["policy"])
            before = last.get(key)
            if before is not None and before["assignment_id"] != decision["assignment_id"]:
                assert before["rule_version"] < decision["rule_version"] == decision["active_rule_version"]
                assert history.versions[decision["policy"]][decision["rule_version"]].reassign
                assert not before["holdout"]
            last[key] = decision


@bounded
@given(histories())
def test_an_assignment_is_exposed_at_most_once_and_only_after_its_variant_was_served(acts: list[Act]) -> None:
    history = History(acts)
    served: set[str] = set()
    exposed: list[str] = []
    for one in history.played:
        for output in one.outputs:
            record = orjson.loads(output.value)
            if output.topic == "decisions":
                treated = [d for d in record["decisions"] if d["action"] and d["reason"] != "late_fallback"]
                served |= {decision["assignment_id"] for decision in treated}
            elif output.topic == "exposures":
                assert record["experiment"]["assignment_id"] in served
                exposed.append(record["exposure_id"])
    assert len(exposed) == len(set(exposed))
    assert exposed == [made for record in history.journal() for made in record.get("exposures", [])]
    joined = [outcome["outcome_id"] for outcome in history.on("outcomes")]
    assert joined == [made for record in history.journal() for made in record.get("outcomes", [])]


@bounded
@given(histories())
def test_every_digest_is_that_of_the_rows_after_the_record(acts: list[Act]) -> None:
    """Played step by step: the digest must be that of the rows as stored at that very moment."""
    history = History(acts)
    world = World(history.world.policies)
    compiled = {governed.offset: governed.compile(None) for governed in history.governed}
    for one in history.played:
        for step in process(one.record, world.state, compiled[one.governance_offset], one.moment):
            world.state.store(step.writes)
            if not step.outputs:
                continue
            journal = orjson.loads(step.outputs[0].value)
            if journal["status"] == "rejected":
                assert (journal["state_digest"], step.writes) == (None, ())
            else:
                assert journal["state_digest"] == digest_of(world.rows(), journal["unit"])


@bounded
@given(histories())
def test_ids_are_the_recipes_of_the_contract(acts: list[Act]) -> None:
    history = History(acts)
    for record in history.journal():
        position = record["input"]
        for decision in record["decisions"]:
            recipe = (position["topic"], position["partition"], position["offset"], decision["policy"])
            assert decision["decision_id"] == uuid_of(*recipe)
            if decision["assignment_id"] is not None:
                made_of = (record["unit"], decision["policy"], decision["rule_version"], "assignment")
                assert decision["assignment_id"] == uuid_of(*made_of)
            assert [timer["timer_id"] for timer in decision["timers_set"]] == [
                uuid_of(decision["decision_id"], "timer", ordinal) for ordinal in range(len(decision["timers_set"]))
            ]
    for exposure in history.on("exposures"):
        assert exposure["exposure_id"] == uuid_of(exposure["experiment"]["assignment_id"], "exposure")
    for outcome in history.on("outcomes"):
        assert outcome["outcome_id"] == uuid_of(outcome["event_id"], outcome["unit"], "outcome")


@bounded
@given(histories())
def test_every_timer_that_was_set_is_pending_fired_or_cancelled_and_no_more_than_once(acts: list[Act]) -> None:
    history = History(acts)
    waiting: set[str] = set()
    for record in history.journal():
        if record["status"] == "fired":
            waiting.remove(record["timer_id"])
        for decision in record["decisions"]:
            for cancelled in decision["timers_cancelled"]:
                waiting.remove(cancelled)
            waiting |= {timer["timer_id"] for timer in decision["timers_set"]}
    stored = [orjson.loads(row)["timer_id"] for row in history.world.rows()["timers"].values()]
    assert sorted(stored) == sorted(waiting)


@bounded
@given(histories())
def test_every_accepted_record_put_in_a_second_time_is_a_duplicate_that_changes_nothing(acts: list[Act]) -> None:
    history = History(acts)
    world = history.world
    before = world.rows()
    for one in history.played:
        status = orjson.loads(one.outputs[0].value)["status"] if one.outputs else "nothing"
        if one.record.topic != TICKS and status not in ("rejected", "nothing") and one.record.appended_us == world.now_us:
            assert world.put_raw(one.record.topic, one.record.value, one.record.key).status == "duplicate"
    assert world.rows() == before


def test_histories_reach_every_status_and_every_reason() -> None:
    """A check of the generator: properties that never see a reason say nothing of it."""
    statuses: set[str] = set()
    reasons: set[str] = set()

    for seed in range(40):
        for record in History(random_history(Random(seed), 60, reassign=True)).journal():
            statuses.add(record["status"])
            reasons.update(decision["reason"] for decision in record["decisions"])
    assert statuses >= {"decided", "no_match", "duplicate", "rejected", "exposed", "outcome", "fired"}
    assert set(REASONS) - reasons == {"model_unavailable", "identity_pending"}  # other parts of Truelift give these
