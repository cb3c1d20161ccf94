"""From records to the read model's rows, each once; a foreign record stops nothing. Without a broker."""

import sqlite3
import uuid
from base64 import b64encode
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.console.intake import take
from app.console.places import name_of, place_of
from app.console.store import ReadModel
from app.contract.topics import DEADLETTER, DECISION_DELIVERY, EXPOSURES, JOURNAL, OUTCOMES
from app.errors import CallerError
from app.warehouse.feed import Piece
from app.warehouse.rows import SourceRecord

TS = "2026-11-22T10:15:30.123456Z"
DECISION, ASSIGNMENT = str(uuid.uuid4()), str(uuid.uuid4())
LATENCY = {"decided_ts": TS, "signal_to_decision_ms": 40.0, "budget_ms": 150}
MADE: dict[str, Any] = {
    "decision_id": DECISION, "policy": "nudge", "rule_version": 3, "variant": "B", "reason": "assigned", "holdout": False,
    "assignment_id": ASSIGNMENT, "late": False, "action": {"kind": "render", "slot": "s", "component": "none"},
    "assigned": True, "mode": "live",
}  # fmt: skip
JOINED = {"assignment_id": ASSIGNMENT, "outcome": "primary", "within_window": True, "policy": "nudge", "rule_version": 3,
          "variant": "B", "holdout": False}  # fmt: skip


def journal(
    *decisions: dict[str, Any], status: str = "decided", topic: str = "events.page_view", **more: Any
) -> dict[str, Any]:
    body = {"unit": "u-1", "status": status, "input": {"topic": topic}, "governance_offset": 9, "latency": LATENCY}
    return body | {"decisions": list(decisions)} | more


@pytest.fixture
def model(tmp_path: Path) -> ReadModel:
    model = ReadModel(tmp_path / "read_model.sqlite")
    model.open("genesis")
    return model


def fed(model: ReadModel, topic: str, *bodies: Any, first: int = 0) -> None:
    records = [
        SourceRecord(topic, 1, first + at, 1_000, b"u-1", body if isinstance(body, bytes) else orjson.dumps(body))
        for at, body in enumerate(bodies)
    ]
    take(model, [Piece(topic, 1, records, first + len(records))])


def test_an_assignment_is_counted_once_and_late_when_it_was(model: ReadModel) -> None:
    late = MADE | {"assignment_id": str(uuid.uuid4()), "late": True}
    fed(model, JOURNAL, journal(MADE), journal(MADE | {"reason": "sticky"}), journal(late))
    assert model.rows("SELECT * FROM arms") == [("nudge", 3, "B", 0, 2, 1, 0)]
    assert model.rows("SELECT reason, SUM(records) FROM reasons GROUP BY 1 ORDER BY 1") == [("assigned", 2), ("sticky", 1)]
    assert model.rows("SELECT COUNT(*) FROM journal") == [(3,)]


def test_what_became_of_a_decision_is_found_by_its_ids(model: ReadModel) -> None:
    fed(model, JOURNAL, journal(MADE))
    served = {"properties": {"decision_id": DECISION, "served": "variant", "delivered_ts": TS}}
    fed(model, DECISION_DELIVERY, served, {"properties": {"decision_id": None, "served": "none"}})
    shown = {"key": "nudge", "variant": "B", "assignment_id": ASSIGNMENT, "rule_version": 3}
    fed(model, EXPOSURES, {"experiment": shown, "ts": TS, "decision_id": DECISION, "latency": {"signal_to_render_ms": 90.0}})
    outcome = {"event_name": "signup", "assignments": [JOINED, JOINED | {"within_window": False}]}
    fed(model, OUTCOMES, outcome, outcome)
    steps = model.rows(
        "SELECT topic, said FROM steps WHERE ref IN (?, ?)", [uuid.UUID(ref).bytes for ref in (DECISION, ASSIGNMENT)]
    )
    assert sorted(steps) == sorted([(DECISION_DELIVERY, "variant served"), (EXPOSURES, "B shown"), (OUTCOMES, "signup")]), (
        "one for each, and one outcome for an assignment"
    )
    assert model.rows("SELECT units FROM outcomes") == [(1,)]
    assert model.rows("SELECT variant, records FROM rendered") == [("B", 1)]
    assert model.rows("SELECT exposed FROM arms") == [(1,)]
    assert model.rows("SELECT served, records FROM served ORDER BY 1") == [("none", 1), ("variant", 1)]


def test_a_login_is_found_from_either_side(model: ReadModel) -> None:
    fed(model, JOURNAL, journal(status="linked", identity={"anonymous": "anon:a", "user": "u-1"}))
    assert model.rows("SELECT other FROM links WHERE unit = 'u-1'") == [("anon:a",)]
    assert model.rows("SELECT other FROM links WHERE unit = 'anon:a'") == [("u-1",)]


def test_a_record_of_nobody_s_is_counted_and_those_around_it_are_taken(model: ReadModel) -> None:
    fed(model, JOURNAL, journal(MADE), b"no json", b"[]", {"schema": "of another"}, journal(MADE))
    assert model.rows("SELECT COUNT(*) FROM journal") == [(2,)]
    assert model.rows("SELECT value FROM meta WHERE name = 'strangers of decisions'") == [("3",)]
    assert model.offsets() == {(JOURNAL, 1): 5}


def test_a_piece_that_comes_twice_changes_nothing_the_second_time(model: ReadModel) -> None:
    fed(model, JOURNAL, journal(MADE))
    with pytest.raises(sqlite3.IntegrityError):
        fed(model, JOURNAL, journal(MADE | {"assignment_id": str(uuid.uuid4())}))
    assert model.rows("SELECT assigned FROM arms") == [(1,)], "neither rows nor sums nor offsets"
    assert model.offsets() == {(JOURNAL, 1): 1}


def test_a_dead_letter_keeps_the_bytes_that_were_refused(model: ReadModel) -> None:
    source = {"topic": "events.page_view", "partition": 1, "offset": 7}
    body = {"source": source, "reason": "malformed_json", "message": "no", "ts": TS}
    fed(model, DEADLETTER, body | {"original_base64": b64encode(b"\xff{").decode()})
    assert model.rows("SELECT reason, source FROM deadletters") == [("malformed_json", "events.page_view:1:7")]


def test_a_place_is_read_as_it_is_written() -> None:
    assert name_of(place_of("3:1881")) == "3:1881"
    for name in ("", "3", "3:", ":7", "-1:7", "3:7:9", "a:b", "3:" + "9" * 30):
        with pytest.raises(CallerError):
            place_of(name)
