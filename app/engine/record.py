"""Builds the records that leave the engine: journal, exposure, dead letter. Field order is part of the bytes.

Journal records are written from one template each instead of through a dictionary: they are most of what the engine makes, and
this halves their cost. Whatever a sender chose goes through the JSON encoder.
"""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import orjson

from app.contract.envelope import Rejection
from app.contract.ids import exposure_id
from app.contract.journal import DEADLETTER_SCHEMA, DECISION_SCHEMA, EXPOSURE_SCHEMA
from app.contract.times import format_us, milliseconds
from app.contract.topics import DEADLETTER, EXPOSURES, IDENTITY_LINKS, JOURNAL
from app.engine import ENGINE_SEMANTICS
from app.engine.policies import Policies
from app.engine.rows import Row
from app.engine.values import InputRecord, Moment, Output

Json = dict[str, Any]
_JSON_BOOL = ("false", "true")


def json_text(text: str | None) -> str:
    """JSON of a text that a sender chose."""
    return "null" if text is None else orjson.dumps(text).decode()


def ids_field(name: str, ids: Sequence[str]) -> str:
    """A further field of a journal record that lists ids of our own."""
    listed = '","'.join(ids)
    return f'"{name}":["{listed}"],' if ids else f'"{name}":[],'


def json_field(name: str, value: Json) -> str:
    """A further field of a journal record that holds names which a sender chose."""
    return f'"{name}":{orjson.dumps(value).decode()},'


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
    decisions: str = "",
    poison: bool = False,
    more: str = "",
) -> Output:
    """The journal record of `record`. decisions: their JSON, joined by commas. more: further fields, each `"a":b,`.

    `base_us` is the moment from which lateness counts: a trusted edge's stamp, else (None) the broker's append.
    """
    topic, partition, offset = record.topic, record.partition, record.offset
    if record.via is not None:  # what was consumed is the link; what it brought keeps its own place
        more = f'"origin":{{"topic":"{topic}","partition":{partition},"offset":{offset}}},{more}'
        topic, partition, offset = IDENTITY_LINKS, record.via.partition, record.via.offset
    appended_us, now_us = record.appended_us, moment.now_us
    base_us = appended_us if base_us is None else base_us
    elapsed_us = now_us - base_us
    skew = "null" if signal_us is None else repr((base_us - signal_us) / 1000)
    within = "null" if budget_ms is None else _JSON_BOOL[elapsed_us <= budget_ms * 1000]
    digest = "null" if state_digest is None else f'"{state_digest}"'
    text = (
        f'{{"schema":"{DECISION_SCHEMA}","unit":{json_text(unit)},"session_id":{json_text(session_id)},"status":"{status}",'
        f'"input":{{"topic":"{topic}","partition":{partition},"offset":{offset},'
        f'"event_id":{json_text(event_id)}}},'
        f'"governance_offset":{policies.offset},"governance_stale":{_JSON_BOOL[moment.governance_stale]},'
        f'"poison":{_JSON_BOOL[poison]},"engine_semantics":{ENGINE_SEMANTICS},"decisions":[{decisions}],{more}'
        f'"latency":{{"signal_ts":{_time(signal_us)},"received_ts":{_time(received_us)},"appended_ts":{_time(appended_us)},'
        f'"decided_ts":{_time(now_us)},"client_skew_ms":{skew},"signal_to_decision_ms":{elapsed_us / 1000!r},'
        f'"budget_ms":{"null" if budget_ms is None else budget_ms},"within_budget":{within}}},'
        f'"state_digest":{digest}}}'
    )
    return Output(JOURNAL, record.key if unit is None else unit.encode(), text.encode())


def _time(us: int | None) -> str:
    return "null" if us is None else f'"{format_us(us)}"'


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
    """The exposure of `assignment`, against the decision that served it, with the edge's times where it has told them already.

    rendered: rendered_ts, decision_to_render_ms.
    """
    to_decision_ms = milliseconds(served["decided_us"] - served["base_us"])
    to_render_ms = rendered["decision_to_render_ms"]
    signal_to_render_ms = None if to_render_ms is None else to_decision_ms + to_render_ms
    budget_ms, delivered_us = served["budget_ms"], served.get("delivered_us")
    body = {
        **envelope,
        "schema": EXPOSURE_SCHEMA,
        "exposure_id": exposure_id(assignment["assignment_id"]),
        "decision_id": served["decision_id"],
        "surface": surface,
        "phase": assignment["phase"],
        "exposed_by": exposed_by,
        "latency": {
            "signal_ts": _moment(served["signal_us"]),
            "decided_ts": format_us(served["decided_us"]),
            "visible_ts": _moment(served.get("visible_us")),
            "delivered_ts": _moment(delivered_us),
            "rendered_ts": rendered["rendered_ts"],
            "signal_to_decision_ms": to_decision_ms,
            "signal_to_delivered_ms": None if delivered_us is None else milliseconds(delivered_us - served["base_us"]),
            "decision_to_render_ms": to_render_ms,
            "signal_to_render_ms": signal_to_render_ms,
            "budget_ms": budget_ms,
            "within_budget": None if budget_ms is None or signal_to_render_ms is None else signal_to_render_ms <= budget_ms,
        },
    }
    return Output(EXPOSURES, unit.encode(), orjson.dumps(body))


def _moment(us: int | None) -> str | None:
    return None if us is None else format_us(us)
