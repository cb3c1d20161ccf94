"""Whatever comes on an input topic is decided or rejected with a code, a dead letter and the original bytes: never raised."""

from base64 import b64decode
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from app.contract.envelope import DEPTH_MAX
from app.contract.topics import RECORD_OVERHEAD_BYTES, deadletter_bytes_of
from app.engine.process import process_poison
from app.engine.values import InputRecord, Moment
from tests.engine.world import START_US, Json, Result, World, body, catalogue, snapshot

POLICIES = snapshot(body(eligibility={"event.properties.n": {"$not": {"$gt": 5}}}))
MAX_RECORD_BYTES = 1_048_576


def with_json(value: bytes, **fields: Any) -> bytes:
    """An envelope whose properties.n is `value`, to the byte."""
    event = World(POLICIES).event(properties={"n": "@"}, **fields)
    return orjson.dumps(event).replace(b'"@"', value)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def assert_rejected(world: World, result: Result, raw: bytes, code: str) -> None:
    journal = result.journal
    assert (journal["status"], journal["rejection"]["code"], journal["state_digest"]) == ("rejected", code, None)
    (dead,) = result.on("deadletter")
    assert (dead["reason"], dead["message"]) == (code, journal["rejection"]["message"])
    assert b64decode(dead["original_base64"]) == raw
    assert dead["source"] == {name: journal["input"][name] for name in ("topic", "partition", "offset")}
    assert result.step.writes == ()
    assert world.send(unit="u-next").status == "decided"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed_json"),
        (b"   ", "malformed_json"),
        (b"{", "malformed_json"),
        (b"\x00", "malformed_json"),
        (b"\xff\xfe\x00", "malformed_json"),
        (b'{"user_id": "\xe9"}', "malformed_json"),
        (b"\xef\xbb\xbf{}", "malformed_json"),
        (b"{}{}", "malformed_json"),
        (b'{"a": NaN}', "malformed_json"),
        (with_json(b"Infinity"), "malformed_json"),
        (with_json(b"1e999"), "malformed_json"),
        (with_json(b'"\\ud800"'), "malformed_json"),
        (with_json(nested(5000)), "malformed_json"),
        (with_json(nested(1000)), "too_deep"),
        (with_json(nested(300)), "too_deep"),
        (with_json(nested(DEPTH_MAX - 1)), "too_deep"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"7", "not_an_object"),
        (b"{}", "missing_field"),
    ],
)
def test_bytes_that_are_no_envelope_are_rejected(raw: bytes, code: str) -> None:
    world = World(POLICIES)
    assert_rejected(world, world.put_raw("events.page_view", raw), raw, code)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"event_name": "Page View"}, "invalid_field"),
        ({"event_name": 7}, "invalid_field"),
        ({"event_id": ""}, "invalid_field"),
        ({"event_id": None}, "invalid_field"),
        ({"event_id": "x" * 257}, "invalid_field"),
        ({"event_id": "a\x00b"}, "invalid_field"),
        ({"event_id": "a\x1fb"}, "invalid_field"),
        ({"user_id": ""}, "invalid_field"),
        ({"user_id": 7}, "invalid_field"),
        ({"user_id": "u\x001"}, "invalid_field"),
        ({"user_id": "u\x1f1"}, "invalid_field"),
        ({"user_id": "u" * 257}, "invalid_field"),
        ({"user_id": "u" * 500_000}, "invalid_field"),
        ({"user_id": ["u"]}, "invalid_field"),
        ({"anonymous_id": "a\x1f"}, "invalid_field"),
        ({"session_id": {}}, "invalid_field"),
        ({"ts": 1_795_342_530}, "invalid_field"),
        ({"ts": "yesterday"}, "invalid_field"),
        ({"ts": "2026-11-22T10:15:30"}, "invalid_field"),
        ({"ts": "2026-11-22"}, "invalid_field"),
        ({"ts": "2026-02-30T10:15:30Z"}, "invalid_field"),
        ({"ts": "2026-11-22T24:00:00Z"}, "invalid_field"),
        ({"ts": "2026-11-22T10:15:60Z"}, "invalid_field"),
        ({"ts": "2026-11-22T10:15:30+24:00"}, "invalid_field"),
        ({"ts": "٢٠٢٦-11-22T10:15:30Z"}, "invalid_field"),
        ({"ts": "0000-01-01T00:00:00Z"}, "invalid_field"),
        ({"ts": "0001-01-01T00:00:00+23:59"}, "invalid_field"),
        ({"ts": "9999-12-31T23:59:59-23:59"}, "invalid_field"),
        ({"received_ts": "0001-01-01T00:00:00+23:59"}, "invalid_field"),
        ({"received_ts": 0}, "invalid_field"),
        ({"properties": []}, "invalid_field"),
        ({"properties": None}, "invalid_field"),
        ({"context": "web"}, "invalid_field"),
        ({"org": 7}, "invalid_field"),
        ({"org": "o" * 257}, "invalid_field"),
        ({"pricing_model": "o" * 257}, "invalid_field"),
        ({"source": 7}, "invalid_field"),
        ({"experiment": 7}, "invalid_field"),
        ({"user_id": None}, "missing_user"),
        ({"user_id": "anon:a-9"}, "reserved_user_id"),
        ({"user_id": "anon:"}, "reserved_user_id"),
        ({"event_name": "unheard_of"}, "unknown_event_type"),
        ({"event_name": "feature_used"}, "wrong_topic"),
        ({"event_name": "experiment_exposure"}, "wrong_topic"),
        ({"ts": "2026-11-22T10:20:30.000001Z"}, "future_ts"),
        ({"ts": "9999-12-31T23:59:59Z"}, "future_ts"),
        ({"ts": "2025-10-18T10:15:29.999999Z"}, "ancient_ts"),
        ({"ts": "0001-01-01T00:00:00Z"}, "ancient_ts"),
    ],
)
def test_an_envelope_with_a_wrong_field_is_rejected_with_its_code(fields: Json, code: str) -> None:
    world = World(POLICIES)
    event = world.event(**fields)
    user = event["user_id"]
    raw = orjson.dumps(event)
    result = world.put_raw("events.page_view", raw, user.encode() if isinstance(user, str) else b"u-1")
    assert_rejected(world, result, raw, code)


@pytest.mark.parametrize("ts", ["2026-11-22T10:20:30Z", "2025-10-18T10:15:30Z"])
def test_a_time_on_the_bound_is_accepted(ts: str) -> None:
    assert World(POLICIES).send(ts=ts).status == "decided"


def test_the_bounds_of_time_and_size_are_catalogue_values() -> None:
    bounds = {"ts_future_seconds": 0, "ts_past_seconds": 1, "max_record_bytes": 1024}
    world = World(snapshot(body(), catalogue=catalogue(bounds=bounds)))
    assert world.send(ts="2026-11-22T10:15:30.000001Z").code == "future_ts"
    assert world.send(ts="2026-11-22T10:15:28.999999Z").code == "ancient_ts"
    assert world.send(properties={"x": "y" * 1024}).code == "oversized"
    assert world.send().status == "decided"


def test_a_record_over_a_mebibyte_is_oversized_and_one_of_exactly_that_size_is_not() -> None:
    world = World(POLICIES)
    raw = with_json(b'"' + b"x" * MAX_RECORD_BYTES + b'"')
    fits = with_json(b'"' + b"x" * (MAX_RECORD_BYTES - len(with_json(b'""'))) + b'"')
    assert len(fits) == MAX_RECORD_BYTES
    assert world.put_raw("events.page_view", fits).status == "decided"
    assert_rejected(world, world.put_raw("events.page_view", raw), raw, "oversized")


@pytest.mark.parametrize("key", [None, b"", b"u-2", b"\xff\xfe", b"u-1\x00", b"k" * 2_000_000])
def test_a_record_under_a_key_that_is_not_its_unit_is_rejected(key: bytes | None) -> None:
    world = World(POLICIES)
    raw = orjson.dumps(world.event())
    assert_rejected(world, world.put_raw("events.page_view", raw, key), raw, "key_mismatch")


@pytest.mark.parametrize("name", [None, "", 7, ["x"], "n" * 129, "n" * 900_000])
def test_a_milestone_without_a_short_name_is_rejected(name: object) -> None:
    world = World(POLICIES)
    assert world.send("activation_milestone", properties={"name": name}).code == "invalid_field"


def test_a_unit_has_no_more_than_256_milestones() -> None:
    world = World(POLICIES)
    for number in range(256):
        assert world.send("activation_milestone", properties={"name": f"m{number}"}).status == "no_match"
    result = world.send("activation_milestone", properties={"name": "one more"})
    assert (result.status, result.code) == ("rejected", "too_many_milestones")
    assert world.send().status == "decided"


def test_a_milestone_reached_twice_is_kept_once() -> None:
    world = World(POLICIES)
    for name in ("b", "a", "b"):
        world.send("activation_milestone", properties={"name": name})
    assert world.row("eligibility")["milestones"] == ["b", "a"]


LARGE: dict[str, Callable[[World], Result]] = {
    "user": lambda world: world.send(unit="u" * 500_000),
    "two byte user": lambda world: world.send(unit="\u0378" * 250_000),
    "event id": lambda world: world.send(event_id="e" * 900_000),
    "key": lambda world: world.put_raw("events.page_view", orjson.dumps(world.event()), b"k" * 2_000_000),
    "milestone": lambda world: world.send("activation_milestone", properties={"name": "\U000e0fff" * 250_000}),
    "assignment id": lambda world: world.send(
        "experiment_exposure", experiment={"key": "p", "variant": "A", "assignment_id": "x" * 500_000, "rule_version": 1}
    ),
    "all fields": lambda world: world.put(
        world.event() | dict.fromkeys(("event_id", "session_id", "ts", "org"), "x" * 100_000)
    ),
}


@pytest.mark.parametrize("large", LARGE.values(), ids=LARGE.keys())
def test_what_a_large_field_leaves_in_journal_and_dead_letter_can_still_be_written(large: Callable[[World], Result]) -> None:
    """A journal record that the broker refuses would end the worker, and its replacement too."""
    result = large(World(POLICIES))
    assert result.status == "rejected"
    journal, dead = result.step.outputs
    assert len(journal.value) + len(journal.key or b"") < MAX_RECORD_BYTES + RECORD_OVERHEAD_BYTES
    assert len(journal.value) < 4096
    assert len(dead.value) + len(dead.key or b"") < deadletter_bytes_of(2 * MAX_RECORD_BYTES)


@pytest.mark.parametrize(
    "value",
    [
        b"18446744073709551615", b"18446744073709551616", b"-9223372036854775809", b"1" * 308, b"-0.0", b"5e-324", b"1e308",
        b'"0x' + b"f" * 400 + b'"', b'"' + b"9" * 5000 + b'"', b'"\\u0000"', b'"\\u001f"', b'"\\ud83d\\ude00"',
        b'"\xed\x9f\xbf"', nested(DEPTH_MAX - 2), b'{"":{"$gt":1,"__proto__":[]}}', b"[null,true,[],{}]",
        b'"' + b"[" * 400 + b'"',
    ],
)  # fmt: skip
def test_odd_but_legal_values_are_decided_whatever_a_condition_makes_of_them(value: bytes) -> None:
    result = World(POLICIES).put_raw("events.page_view", with_json(value))
    assert result.status == "decided"


def test_a_rejection_names_every_problem_of_the_envelope_with_value_and_remedy() -> None:
    message = World(POLICIES).put_raw("events.page_view", b'{"event_name": 7, "user_id": "", "ts": "now"}').journal["rejection"]
    for part in ("event_name", "7", "user_id", "ts", '"now"', "event_id is missing"):
        assert part in message["message"]
    assert message["code"] == "invalid_field"


def test_a_rejected_record_keeps_what_can_be_told_of_its_sender() -> None:
    world = World(POLICIES)
    event = world.event(ts="no time")
    journal = world.put(event).journal
    assert (journal["unit"], journal["input"]["event_id"]) == ("u-1", event["event_id"])


def test_a_repeated_json_key_has_its_last_value() -> None:
    raw = orjson.dumps(World(POLICIES).event()).replace(b'"user_id":"u-1"', b'"user_id":"u-0","user_id":"u-1"')
    assert World(POLICIES).put_raw("events.page_view", raw).journal["unit"] == "u-1"


@pytest.mark.parametrize("topic", ["events.unheard_of", "decisions", ""])
def test_a_record_on_a_topic_that_is_not_its_own_is_rejected(topic: str) -> None:
    world = World(POLICIES)
    assert world.put_raw(topic, orjson.dumps(world.event())).code == "wrong_topic"


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b"x" * 2_000_000])
def test_a_tick_is_its_append_time_whatever_its_bytes(raw: bytes) -> None:
    assert World(POLICIES).steps("ticks", raw, b"\xff") == []


@pytest.mark.parametrize("raw", [b"", b"\xff\x00", b"{}", orjson.dumps(World(POLICIES).event())])
def test_a_poison_record_is_rejected_kept_and_marked(raw: bytes) -> None:
    step = process_poison(InputRecord("events.page_view", 3, 9, START_US, b"u-1", raw), POLICIES, Moment(START_US + 1000))
    result = Result(step)
    assert (result.status, result.code, result.journal["poison"]) == ("rejected", "poison", True)
    assert result.journal["input"] == {"topic": "events.page_view", "partition": 3, "offset": 9, "event_id": None}
    assert b64decode(result.on("deadletter")[0]["original_base64"]) == raw
    assert step.writes == ()
