"""The one envelope of every input event, validated once, here, by pydantic. Refuses what is no signal, with code and remedy.

What depends on the governed catalogue (known types, time bounds, size) is asked afterwards, in app/engine/admission.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypeGuard

import orjson
from pydantic import ConfigDict, Strict, StringConstraints, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic takes typing.TypedDict only from Python 3.12 on

from app.contract.ids import event_uuid, is_uuid
from app.contract.times import parse_us

ANONYMOUS_PREFIX = "anon:"
SHOWN_VALUE_CHARS = 80
NAME_MAX_CHARS = 256
# orjson reads 1,024 levels and writes 254: what is taken in must be writable in every record and row that carries it.
DEPTH_MAX = 128

# U+001F separates the parts of an id, U+0000 ends a string for many readers: neither may be in a name.
_Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_MAX_CHARS, pattern=r"^[^\x00\x1f]+$")]
# Kept in the unit's row, which is read and written at every signal.
_Fact = Annotated[str, StringConstraints(max_length=NAME_MAX_CHARS)]
# RFC 3339, section 5.6, without leap seconds and lower-case z. Hour 24 is refused here, not by the parser: Python reads it from
# 3.14 on, and a record means the same on every Python. A pattern and one conversion afterwards cost a third of a datetime.
_TIME_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)
_Time = Annotated[str, StringConstraints(pattern=_TIME_PATTERN)]
_EventName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


@with_config(ConfigDict(extra="allow"))
class Experiment(TypedDict):
    """What an acknowledgement says was rendered."""

    key: _Name
    variant: _Name
    assignment_id: _Name
    rule_version: Annotated[int, Strict()]


@with_config(ConfigDict(extra="allow"))
class Envelope(TypedDict):
    """Times are RFC 3339 with an offset. Unknown fields are kept."""

    event_name: _EventName
    event_id: _Name
    user_id: NotRequired[_Name | None]
    anonymous_id: NotRequired[_Name | None]
    session_id: NotRequired[_Name | None]
    ts: _Time
    received_ts: NotRequired[_Time | None]
    properties: NotRequired[dict[str, Any]]
    context: NotRequired[dict[str, Any]]
    experiment: NotRequired[Experiment | None]
    governance: NotRequired[dict[str, Any] | None]
    org: NotRequired[_Fact | None]
    pricing_model: NotRequired[_Fact | None]
    source: NotRequired[str | None]
    source_id: NotRequired[str | None]


class Signal(NamedTuple):
    """A validated envelope. `event` is the JSON as it came (with the canonical event_id); times are microseconds UTC."""

    event_name: str
    event_id: str
    unit: str
    session_id: str | None
    ts_us: int
    received_us: int | None
    properties: dict[str, Any]
    context: dict[str, Any]
    event: dict[str, Any]


class Rejection(NamedTuple):
    """Why a record is not acceptable. `code` is stable; `message` names field, value and remedy."""

    code: str
    message: str
    event_id: str | None = None
    unit: str | None = None


_ENVELOPE: TypeAdapter[Envelope] = TypeAdapter(Envelope)
_is_written_as_time = re.compile(_TIME_PATTERN.removesuffix("$")).fullmatch

Code = Literal[
    "malformed_json", "not_an_object", "too_deep", "missing_field", "invalid_field", "missing_user", "reserved_user_id"
]  # fmt: skip


def is_time(value: object) -> bool:
    """Whether `value` is a time as the envelope's own are."""
    if not isinstance(value, str) or _is_written_as_time(value) is None:
        return False
    try:
        parse_us(value)
    except ValueError:
        return False
    return True


def parse_signal(raw: bytes) -> Signal | Rejection:
    """The signal in `raw`, or why there is none. Looks at the bytes alone: no clock, no catalogue."""
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return _reject("malformed_json", f"the record is not JSON: {error}; send one UTF-8 JSON object a record")
    if type(event) is not dict:
        return _reject(
            "not_an_object", f"the record is a JSON {type(event).__name__}, not an object; send the envelope as one object"
        )
    return signal_of(event, raw)


def signal_of(event: dict[str, Any], raw: bytes) -> Signal | Rejection:
    """The signal that `event` says. raw: its JSON. What is no canonical event_id becomes one, in `event` itself."""
    if raw.count(b"[") + raw.count(b"{") > DEPTH_MAX and is_too_deep(event, DEPTH_MAX):
        return _reject("too_deep", f"the record nests deeper than {DEPTH_MAX} levels; flatten it", event)
    try:
        _ENVELOPE.validate_python(event)
    except ValidationError as error:
        return _rejection(error, event)
    try:
        ts_us, received_us = parse_us(event["ts"]), _optional_us(event.get("received_ts"))
    except ValueError:
        # Not the exception's own words: they differ between versions of Python, and a rejection is replayed to the byte.
        said = f"ts {shown(event['ts'])}, received_ts {shown(event.get('received_ts'))}"
        remedy = "send moments of the calendar in UTC, as 2026-11-22T10:15:30.123456Z"
        return _reject("invalid_field", f"a time is no moment: {said}; {remedy}", event)
    user_id, anonymous_id = event.get("user_id"), event.get("anonymous_id")
    if user_id is None and anonymous_id is None:
        return _reject("missing_user", "user_id and anonymous_id are both missing; send at least one of them", event)
    if user_id is not None and user_id.startswith(ANONYMOUS_PREFIX):
        return _reject(
            "reserved_user_id",
            f"user_id {shown(user_id)} begins with {ANONYMOUS_PREFIX!r}, which is kept for anonymous units; "
            "send such an id as anonymous_id without the prefix",
            event,
        )
    if not is_uuid(event["event_id"]):
        adopt_sdk_id(event)
    return Signal(
        event["event_name"],
        event["event_id"],
        user_id if user_id is not None else f"{ANONYMOUS_PREFIX}{anonymous_id}",
        event.get("session_id"),
        ts_us,
        received_us,
        event.get("properties") or {},
        event.get("context") or {},
        event,
    )


def _optional_us(text: str | None) -> int | None:
    return None if text is None else parse_us(text)


def adopt_sdk_id(event: dict[str, Any]) -> None:
    """An SDK id that is no UUID becomes one; the original stays in source_id."""
    original = event["event_id"]
    event["event_id"] = original.lower() if is_uuid(original.lower()) else event_uuid(event.get("source") or "", original)
    if event.get("source_id") is None:
        event["source_id"] = original


def _rejection(error: ValidationError, event: dict[str, Any]) -> Rejection:
    """All problems of the envelope in one message: a sender mends them in one go."""
    problems = error.errors(include_url=False, include_context=False)
    parts = []
    for problem in problems:
        field = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "missing":
            parts.append(f"field {field} is missing; send it")
        else:
            parts.append(f"field {field} is {shown(problem['input'])}: {problem['msg']}")
    code: Code = "missing_field" if all(problem["type"] == "missing" for problem in problems) else "invalid_field"
    return _reject(code, " | ".join(parts), event)


def _reject(code: Code, message: str, event: dict[str, Any] | None = None) -> Rejection:
    """What can be told of the sender is kept, so that the rejection can be found by user and event."""
    if event is None:
        return Rejection(code, message)
    event_id, user_id = event.get("event_id"), event.get("user_id")
    return Rejection(
        code,
        message,
        event_id if _is_short(event_id) else None,
        user_id if _is_short(user_id) else None,
    )


def _is_short(name: object) -> TypeGuard[str]:
    """A rejected name of any length goes to the dead letter alone: the journal record has to stay writable."""
    return isinstance(name, str) and len(name) <= NAME_MAX_CHARS


def is_too_deep(value: object, levels: int) -> bool:
    """Level by level, without recursion: a sender chooses the depth."""
    level = [value]
    for _ in range(levels):
        level = [inner for outer in level for inner in _parts(outer) if type(inner) in (dict, list)]
        if not level:
            return False
    return True


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def shown(value: object) -> str:
    """The value as JSON, cut to what a log line can bear. Not repr: which characters it escapes depends on Python's version."""
    text = orjson.dumps(value, default=repr).decode()
    return text if len(text) <= SHOWN_VALUE_CHARS else text[:SHOWN_VALUE_CHARS] + "…"
