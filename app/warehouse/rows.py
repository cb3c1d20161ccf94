"""From a record of a topic to the rows of the tables that it fills. Pure and total: a record that is none is `unreadable`.

Owns reading our own records and the two kinds of clients' records that analysis needs. Refuses to repair: a field that is not
what its column holds is null when a client chose it, and makes the record unreadable when we wrote it.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any, NamedTuple

import orjson

from app.contract.times import parse_us
from app.contract.topics import DECISION_DELIVERY, EXPOSURES, GOVERNANCE, IDENTIFY, JOURNAL, OUTCOMES
from app.warehouse.columns import BY_NAME, Kind

Values = dict[str, Any]
Body = Mapping[str, Any]
LARGEST_WHOLE = 2**63 - 1
# What a column of each kind holds: asked of every value, since one that Arrow cannot take would stop the whole table.
HOLDS: dict[Kind, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "json": lambda value: isinstance(value, str),
    "whole": lambda value: type(value) is int and -LARGEST_WHOLE <= value <= LARGEST_WHOLE,
    "number": lambda value: type(value) in (int, float) and isfinite(value),
    "yes_no": lambda value: type(value) is bool,
    "moment": lambda value: type(value) is int,
}
_HOLDS = {table.name: {column.name: HOLDS[column.kind] for column in table.columns} for table in BY_NAME.values()}


class SourceRecord(NamedTuple):
    """A committed record. topic: the contract's name. refusal: of a governance record, what the fold made of it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    refusal: str | None = None


class Row(NamedTuple):
    """values: by column; what is not there is null."""

    table: str
    values: Values


def rows_of(record: SourceRecord) -> list[Row]:
    """All rows of one record, each with its place."""
    try:
        made = [_checked(row) for row in _READERS[record.topic](record, _object(record.value))]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        made = [Row("unreadable", _unreadable(record, error))]
    counts: dict[str, int] = {}
    for table, values in made:
        index = counts.get(table, 0)
        counts[table] = index + 1
        values["kafka_partition"], values["kafka_offset"] = record.partition, record.offset
        values["row_index"], values["recorded_ts"] = index, record.timestamp_ms * 1000
    return made


def _object(raw: bytes) -> Body:
    body = orjson.loads(raw)
    if not isinstance(body, dict):
        raise TypeError(f"a JSON {type(body).__name__}, not an object")
    return body


def _checked(row: Row) -> Row:
    holds = _HOLDS[row.table]
    for name, value in row.values.items():
        if value is not None and not holds[name](value):
            raise TypeError(f"{name} is {value!r}")
    return row


def _unreadable(record: SourceRecord, error: Exception) -> Values:
    problem = f"{type(error).__name__}: {error}"
    return {"topic": record.topic, "problem": problem, "value_base64": b64encode(record.value).decode()}


def _governance(record: SourceRecord, body: Body) -> Iterator[Row]:
    values: Values = {name: _text(body[name]) for name in ("type", "policy", "actor", "role", "reason", "key_id")}
    values |= {"seq": _whole(body["seq"]), "rule_version": _whole(body["rule_version"])}
    values |= {"body": _json(body["body"]), "ts": _moment(body["ts"]), "refusal": record.refusal}
    yield Row("governance", values)


def _journal(_: SourceRecord, body: Body) -> Iterator[Row]:
    source, latency = body["input"], body["latency"]
    shared = {
        "unit": body["unit"],
        "session_id": body["session_id"],
        "status": body["status"],
        "input_topic": source["topic"],
        "input_partition": source["partition"],
        "input_offset": source["offset"],
        "event_id": source["event_id"],
        "governance_offset": body["governance_offset"],
        "signal_ts": _own_moment(latency["signal_ts"]),
        "received_ts": _own_moment(latency["received_ts"]),
        "appended_ts": _own_moment(latency["appended_ts"]),
        "decided_ts": _own_moment(latency["decided_ts"]),
        "signal_to_decision_ms": latency["signal_to_decision_ms"],
        "budget_ms": latency["budget_ms"],
        "within_budget": latency["within_budget"],
    }
    decisions = body["decisions"]
    rejection = body.get("rejection")
    yield Row(
        "journal",
        shared
        | {
            "governance_stale": body["governance_stale"],
            "poison": body["poison"],
            "engine_semantics": body["engine_semantics"],
            "decisions": len(decisions),
            "exposures": len(body.get("exposures", ())),
            "outcomes": len(body.get("outcomes", ())),
            "rejection": None if rejection is None else rejection["code"],
            "client_skew_ms": latency["client_skew_ms"],
            "state_digest": body["state_digest"],
        },
    )
    for decision in decisions:
        yield Row("decisions", shared | _decision(decision))


_AS_DECIDED = (
    "decision_id", "decision_point", "policy", "kind", "mode", "rule_version", "phase", "eligible", "holdout", "assigned",
    "variant", "bucket", "assignment_id", "sticky", "late", "reason",
)  # fmt: skip


def _decision(decision: Body) -> Values:
    values = {name: decision[name] for name in _AS_DECIDED}
    last = decision["gates"][-1]
    values["active_rule_version"] = decision.get("active_rule_version")
    values["stopped_at"] = None if last["passed"] else last["gate"]
    values["why"] = last["why"]
    model = decision.get("model")
    values["model"] = None if model is None else _json(model)
    values["chosen_by"] = None if model is None else model.get("chosen_by")
    for name in ("action", "timers_set", "timers_cancelled"):
        values[name] = _json(decision[name]) if decision[name] else None
    return values


def _exposure(record: SourceRecord, body: Body) -> Iterator[Row]:
    experiment, latency, context = body["experiment"], body["latency"], body.get("context") or {}
    governed = body.get("governance") or {}
    yield Row(
        "exposures",
        _who(record, body)
        | {
            "exposure_id": body["exposure_id"],
            "assignment_id": experiment["assignment_id"],
            "decision_id": body["decision_id"],
            "policy": experiment["key"],
            "variant": experiment["variant"],
            "rule_version": experiment["rule_version"],
            "phase": body["phase"],
            "exposed_by": body["exposed_by"],
            "surface": _text(body["surface"]),
            "ts": _own_moment(body["ts"]),
            **{name: _text(context.get(name)) for name in ("device", "locale", "route")},
            "context": _json(context),
            "properties": _json(body.get("properties") or {}),
            **{name: _text(governed.get(name)) for name in ("owner", "rollback_flag")},
            **{name: _text(body.get(name)) for name in ("org", "pricing_model")},
            "signal_ts": _own_moment(latency["signal_ts"]),
            "decided_ts": _own_moment(latency["decided_ts"]),
            "rendered_ts": _moment(latency["rendered_ts"]),
            **{name: _number(latency[name]) for name in _SPANS},
            "budget_ms": latency["budget_ms"],
            "within_budget": latency["within_budget"],
        },
    )


_SPANS = ("signal_to_decision_ms", "signal_to_delivered_ms", "decision_to_render_ms", "signal_to_render_ms")
_JOINED = ("policy", "outcome", "assignment_id", "variant", "rule_version", "phase", "holdout", "exposed", "within_window")


def _outcome(_: SourceRecord, body: Body) -> Iterator[Row]:
    shared: Values = {name: body[name] for name in ("unit", "outcome_id", "event_id", "event_name")}
    shared |= {"ts": _own_moment(body["ts"]), "properties": _json(body["properties"])}
    for joined in body["assignments"]:
        own = {name: joined[name] for name in _JOINED} | {"exposed_ts": _own_moment(joined["exposed_ts"])}
        yield Row("outcomes", shared | own)


def _delivery(record: SourceRecord, body: Body) -> Iterator[Row]:
    said = body["properties"]
    own: Values = {"decision_id": _text(said["decision_id"]), "served": _text(said["served"])}
    own |= {name: _moment(said.get(name)) for name in ("visible_ts", "delivered_ts")}
    yield Row("deliveries", _who(record, body) | own | {"deadline_ms": _number(said.get("deadline_ms"))})


def _identity(record: SourceRecord, body: Body) -> Iterator[Row]:
    values = _who(record, body)
    del values["unit"]
    yield Row("identities", values | {"traits": _json(body.get("properties") or {})})


_READERS: dict[str, Callable[[SourceRecord, Body], Iterator[Row]]] = {
    GOVERNANCE: _governance,
    JOURNAL: _journal,
    EXPOSURES: _exposure,
    OUTCOMES: _outcome,
    DECISION_DELIVERY: _delivery,
    IDENTIFY: _identity,
}


def _who(record: SourceRecord, body: Body) -> Values:
    """The key is the unit: of an exposure the one that the assignment was made for."""
    values: Values = {name: _text(body.get(name)) for name in ("user_id", "anonymous_id", "session_id", "event_id")}
    values["unit"] = None if record.key is None else record.key.decode()
    values["ts"] = _moment(body["ts"])
    return values


# --- what a client chose: null where it is not what the column holds -------------------------------------------------------


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _whole(value: Any) -> int | None:
    return value if HOLDS["whole"](value) else None


def _number(value: Any) -> float | None:
    return float(value) if HOLDS["number"](value) else None


def _moment(value: Any) -> int | None:
    try:
        return None if value is None else parse_us(value)
    except (ValueError, TypeError):
        return None


# --- what we wrote ---------------------------------------------------------------------------------------------------------


def _own_moment(text: str | None) -> int | None:
    return None if text is None else parse_us(text)
