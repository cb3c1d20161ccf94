"""Builds the records that leave the engine: journal, exposure, outcome, dead letter. Field order is part of the bytes."""

from base64 import b64encode
from typing import Any

import orjson

from app.contract.envelope import Rejection
from app.contract.ids import exposure_id
from app.contract.journal import DEADLETTER_SCHEMA, DECISION_SCHEMA, EXPOSURE_SCHEMA, latency_fields
from app.contract.times import format_us, milliseconds
from app.contract.topics import DEADLETTER, EXPOSURES, JOURNAL
from app.engine import ENGINE_SEMANTICS
from app.engine.policies import Policies
from app.engine.rows import Row
from app.engine.values import InputRecord, Moment, Output

Json = dict[str, Any]


def journal_output(
    record: InputRecord,
    status: str,
    policies: Policies,
    moment: Moment,
    state_digest: str | None,
    *,
    unit: str | None,
    event_id: str | None,
    session_id: str | None = None,
    signal_us: int | None = None,
    received_us: int | None = None,
    base_us: int | None = None,
    budget_ms: int | None = None,
    decisions: list[Json] | None = None,
    poison: bool = False,
    **more: Any,
) -> Output:
    """The journal record of `record`. `more` are the fields that only this status has."""
    body = {
        "schema": DECISION_SCHEMA,
        "unit": unit,
        "session_id": session_id,
        "status": status,
        "input": {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "event_id": event_id,
        },
        "governance_offset": policies.offset,
        "governance_stale": moment.governance_stale,
        "poison": poison,
        "engine_semantics": ENGINE_SEMANTICS,
        "decisions": decisions or [],
        **more,
        "latency": latency_fields(
            signal_us=signal_us,
            received_us=received_us,
            appended_us=record.appended_us,
            decided_us=moment.now_us,
            base_us=record.appended_us if base_us is None else base_us,
            budget_ms=budget_ms,
        ),
        "state_digest": state_digest,
    }
    return Output(JOURNAL, record.key if unit is None else unit.encode(), orjson.dumps(body))


def deadletter_output(record: InputRecord, rejection: Rejection) -> Output:
    """`ts` is the broker's append time of the original: a dead letter is a function of the record alone."""
    body = {
        "schema": DEADLETTER_SCHEMA,
        "source": {"topic": record.topic, "partition": record.partition, "offset": record.offset},
        "reason": rejection.code,
        "message": rejection.message,
        "original_base64": b64encode(record.value).decode(),
        "ts": format_us(record.appended_us),
    }
    return Output(DEADLETTER, record.key, orjson.dumps(body))


def exposure_output(
    envelope: Json, unit: str, assignment: Row, served: Row, *, exposed_by: str, surface: str | None, rendered: Json
) -> Output:
    """The exposure of `assignment`, against the decision that served it. rendered: rendered_ts, decision_to_render_ms."""
    to_decision_ms = milliseconds(served["decided_us"] - served["base_us"])
    to_render_ms = rendered["decision_to_render_ms"]
    signal_to_render_ms = None if to_render_ms is None else to_decision_ms + to_render_ms
    budget_ms = served["budget_ms"]
    body = {
        **envelope,
        "schema": EXPOSURE_SCHEMA,
        "exposure_id": exposure_id(assignment["assignment_id"]),
        "decision_id": served["decision_id"],
        "surface": surface,
        "phase": assignment["phase"],
        "exposed_by": exposed_by,
        "latency": {
            "signal_ts": None if served["signal_us"] is None else format_us(served["signal_us"]),
            "decided_ts": format_us(served["decided_us"]),
            "visible_ts": None,
            "delivered_ts": None,
            "rendered_ts": rendered["rendered_ts"],
            "signal_to_decision_ms": to_decision_ms,
            "signal_to_delivered_ms": None,
            "decision_to_render_ms": to_render_ms,
            "signal_to_render_ms": signal_to_render_ms,
            "budget_ms": budget_ms,
            "within_budget": None if budget_ms is None or signal_to_render_ms is None else signal_to_render_ms <= budget_ms,
        },
    }
    return Output(EXPOSURES, unit.encode(), orjson.dumps(body))
