"""From a record to rows: the contract's records whole, hostile ones kept apart, and every row one that its table takes."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.warehouse.columns import BY_NAME, SOURCES, TABLES
from app.warehouse.rows import Row, SourceRecord, rows_of
from app.warehouse.store import arrow_of

LATENCY = {
    "signal_ts": "2026-11-22T10:15:30.123456Z", "received_ts": None, "appended_ts": "2026-11-22T10:15:30.200000Z",
    "decided_ts": "2026-11-22T10:15:30.250000Z", "client_skew_ms": 3.1, "signal_to_decision_ms": 41.2, "budget_ms": 150,
    "within_budget": True,
}  # fmt: skip
DECISION = {
    "decision_id": "d", "decision_point": "onboarding.nudge", "policy": "nudge", "kind": "experiment", "mode": "live",
    "rule_version": 3, "phase": 9, "eligible": True, "holdout": False, "assigned": True, "variant": "B", "bucket": 0.7312,
    "assignment_id": "a", "sticky": False, "action": {"kind": "render"}, "late": False, "reason": "assigned",
    "timers_set": [], "timers_cancelled": [],
    "gates": [
        {"gate": "trigger", "passed": True, "why": "page_view"}, {"gate": "lateness", "passed": False, "why": "160 of 150 ms"},
    ],
}  # fmt: skip
JOURNAL = {
    "schema": "truelift.decision/1", "unit": "u-42", "session_id": "s-7", "status": "decided",
    "input": {"topic": "events.page_view", "partition": 3, "offset": 1881, "event_id": "e"},
    "governance_offset": 12, "governance_stale": False, "poison": False, "engine_semantics": 1,
    "decisions": [DECISION, DECISION], "latency": LATENCY, "state_digest": "0f3c", "a field of tomorrow": 1,
}  # fmt: skip
OUTCOME = {
    "schema": "truelift.outcome/1", "outcome_id": "o", "unit": "u-42", "event_id": "e", "event_name": "signup",
    "ts": "2026-11-22T10:15:30.123456Z", "properties": {"amount": 5},
    "assignments": [
        {"policy": policy, "variant": None, "assignment_id": "a", "rule_version": 3, "phase": 9, "holdout": True,
         "exposed": False, "exposed_ts": None, "outcome": "primary", "within_window": True}
        for policy in ("nudge", "other")
    ],
}  # fmt: skip


def _record(topic: str, body: Any, key: bytes | None = b"u-42") -> SourceRecord:
    return SourceRecord(topic, 3, 77, 1_700_000_000_000, key, body if isinstance(body, bytes) else orjson.dumps(body))


def _tables(rows: list[Row]) -> list[str]:
    return [row.table for row in rows]


def test_a_journal_record_is_one_row_and_one_for_each_decision() -> None:
    journal, first, second = rows_of(_record("decisions", JOURNAL))

    assert (journal.table, journal.values["decisions"], journal.values["status"]) == ("journal", 2, "decided")
    assert journal.values["signal_ts"] == 1_795_342_530_123_456
    assert (first.values["stopped_at"], first.values["why"]) == ("lateness", "160 of 150 ms")
    places = [tuple(row.values[name] for name in ("kafka_partition", "kafka_offset", "row_index")) for row in (first, second)]
    assert places == [(3, 77, 0), (3, 77, 1)]
    assert first.values["recorded_ts"] == 1_700_000_000_000_000


def test_an_outcome_is_a_row_for_each_assignment_that_it_was_joined_with() -> None:
    rows = rows_of(_record("outcomes", OUTCOME))

    assert [(row.table, row.values["policy"]) for row in rows] == [("outcomes", "nudge"), ("outcomes", "other")]
    assert rows[0].values["properties"] == '{"amount":5}'


def test_what_a_client_chose_is_null_where_it_is_not_what_the_column_holds() -> None:
    said = {"decision_id": 5, "served": "variant", "visible_ts": "yesterday", "deadline_ms": "soon"}
    (row,) = rows_of(_record("events.decision_delivery", {"ts": "2026-11-22T10:15:30Z", "properties": said}))

    assert row.table == "deliveries"
    assert (row.values["decision_id"], row.values["visible_ts"], row.values["deadline_ms"]) == ("5", None, None)


HOSTILE = {
    "not JSON": ("decisions", b"\xff"),
    "no object": ("decisions", []),
    "a field missing": ("decisions", {name: value for name, value in JOURNAL.items() if name != "latency"}),
    "text for a number": ("decisions", JOURNAL | {"governance_offset": "twelve"}),
    "a number too large": ("decisions", JOURNAL | {"engine_semantics": 2**63}),
    "no moment": ("outcomes", OUTCOME | {"ts": "yesterday"}),
    "no assignments": ("outcomes", OUTCOME | {"assignments": None}),
    "a bad second part": ("decisions", JOURNAL | {"decisions": [DECISION, DECISION | {"sticky": "no"}]}),
    "no value": ("exposures", b""),
}


@pytest.mark.parametrize(("topic", "body"), HOSTILE.values(), ids=list(HOSTILE))
def test_a_record_that_is_none_is_kept_whole_in_one_row(topic: str, body: Any) -> None:
    assert _tables(rows_of(_record(topic, body))) == ["unreadable"]


def test_a_key_that_is_no_text_makes_an_exposure_unreadable_too() -> None:
    assert _tables(rows_of(_record("exposures", {"ts": "2026-11-22T10:15:30Z"}, b"\xff"))) == ["unreadable"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([*JOURNAL, *OUTCOME, *DECISION, *LATENCY])


def _changed(body: Any, field: str, value: Any) -> Any:
    if isinstance(body, dict):
        return {name: value if name == field else _changed(inner, field, value) for name, inner in body.items()}
    return [_changed(inner, field, value) for inner in body] if isinstance(body, list) else body


@given(st.sampled_from(SOURCES), st.sampled_from([JOURNAL, OUTCOME]), FIELDS, JSON)
@settings(max_examples=300, deadline=None)
def test_whatever_a_field_holds_its_table_takes_every_row(topic: str, body: Any, field: str, value: Any) -> None:
    try:
        raw = orjson.dumps(_changed(body, field, value))
    except TypeError:  # larger than JSON of ours can say
        return
    rows = rows_of(_record(topic, raw))

    assert rows or (topic == "outcomes" and field == "assignments")
    for row in rows:
        arrow_of(BY_NAME[row.table], [row.values])
        assert row.values.keys() <= {column.name for column in BY_NAME[row.table].columns}


def test_every_table_has_its_place_and_names_no_column_twice() -> None:
    for table in TABLES:
        names = [column.name for column in table.columns]
        assert len(set(names)) == len(names)
        assert {"kafka_partition", "kafka_offset", "row_index", "recorded_ts"} <= set(names)
        assert set(table.topics) <= set(SOURCES)
