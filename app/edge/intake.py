"""From what a sender said to the records that are kept: mapped, validated as the worker will, keyed by the unit. No I/O.

Refuses nothing: an event that cannot become a signal becomes a dead letter, with its original and the remedy, and is kept as
durably as any other. The sender has done its part; the team that owns the mapping finds it there.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import orjson

from app.contract.envelope import ANONYMOUS_PREFIX, Rejection, adopt_sdk_id, parse_signal
from app.contract.ids import event_uuid, is_uuid
from app.contract.mappings import IDENTIFY
from app.contract.templates import BadValueError, Nested, filled
from app.contract.times import format_us
from app.contract.topics import DECISION_DELIVERY, EXPERIMENT_EXPOSURE, event_name_of, event_topic
from app.edge.letters import letter
from app.edge.record import Record
from app.edge.rules import Rules

NATIVE = "edge"

Who = Literal["public", "server", "nobody"]
# Who may write the records of Truelift's own clients; every other type is anybody's who has a key.
WHO_MAY_WRITE: dict[str, Who] = {
    event_name_of(EXPERIMENT_EXPOSURE): "server",
    event_name_of(DECISION_DELIVERY): "nobody",
}


class Sent(NamedTuple):
    """One event as its SDK said it. kind, names: what a mapping is looked up by. fields: what it may read.

    original: what a dead letter keeps.
    """

    kind: str
    names: tuple[str, ...]
    fields: dict[str, Any]
    original: Any


class Arrival(NamedTuple):
    """What all events of one request share. event_bytes: the most that one of them may have."""

    collector: str
    received_us: int
    is_server: bool
    event_bytes: int

    @property
    def source(self) -> str:
        return self.collector


class Taken(NamedTuple):
    """records: one for each event, in order. rejected: those that became dead letters, by their place in the request."""

    records: list[Record]
    rejected: dict[int, Rejection]


def take_sent(events: Iterable[Sent], arrival: Arrival, rules: Rules) -> Taken:
    """Events of an SDK, through the catalogue's mapping."""
    mapping = rules.mappings[arrival.collector]
    taken = Taken([], {})
    for index, sent in enumerate(events):
        template = mapping.find(sent.kind, sent.names)
        if template is None:
            name = "".join(f":{name}" for name in sent.names[:1])
            remedy = f"add {sent.kind}{name} to the catalogue's mappings.{arrival.collector}"
            rejection = Rejection("unmapped_event", f"no mapping takes it; {remedy}")
            _reject(taken, index, sent.original, rejection, arrival, rules)
            continue
        try:
            envelope = filled(template, Nested(sent.fields))
        except BadValueError as error:
            rejection = Rejection("invalid_field", f"{error}; correct the sender or the catalogue's mapping")
            _reject(taken, index, sent.original, rejection, arrival, rules)
            continue
        envelope.setdefault("ts", format_us(arrival.received_us))
        if "event_id" not in envelope:
            envelope["event_id"] = event_uuid(arrival.source, _dumps(sent.original).decode())
        _take(taken, index, envelope, sent.original, arrival, rules)
    return taken


def take_native(events: Iterable[Any], arrival: Arrival, rules: Rules) -> Taken:
    """Envelopes as they are. What only an edge may say of them it says itself."""
    taken = Taken([], {})
    for index, event in enumerate(events):
        if not isinstance(event, dict):
            found = Rejection("not_an_object", f"the event is a JSON {type(event).__name__}; send the envelope as one object")
            _reject(taken, index, event, found, arrival, rules)
            continue
        _take(taken, index, dict(event), event, arrival, rules)
    return taken


def _take(taken: Taken, index: int, envelope: dict[str, Any], original: Any, arrival: Arrival, rules: Rules) -> None:
    envelope["source"], envelope["received_ts"] = arrival.source, format_us(arrival.received_us)
    event_id = envelope.get("event_id")
    if isinstance(event_id, str) and not is_uuid(event_id):
        adopt_sdk_id(envelope)
    value = _dumps(envelope)
    # Asked of the very bytes that the worker will read: what is taken here is not rejected there for its shape.
    signal = parse_signal(value)
    if not isinstance(signal, Rejection):
        refused = _too_large(value, original, arrival, rules) or _not_allowed(signal.event_name, arrival, rules)
        if refused is None:
            key = _key(envelope, signal.unit).encode()
            taken.records.append(Record(event_topic(signal.event_name), key, value, signal.event_id, arrival.received_us))
            return
        signal = refused._replace(event_id=signal.event_id, unit=signal.unit)
    _reject(taken, index, original, signal, arrival, rules)


def _key(envelope: dict[str, Any], unit: str) -> str:
    """The unit; of an identify the anonymous one, whose assignments are what has to move."""
    anonymous_id = envelope.get("anonymous_id")
    return unit if envelope["event_name"] != IDENTIFY or anonymous_id is None else f"{ANONYMOUS_PREFIX}{anonymous_id}"


def _too_large(value: bytes, original: Any, arrival: Arrival, rules: Rules) -> Rejection | None:
    """The sender is held to the size of what it sent, the record to what the worker takes."""
    size, limit = len(value), min(arrival.event_bytes, rules.record_bytes)
    if size <= limit or (size <= rules.record_bytes and (size := len(_dumps(original))) <= limit):
        return None
    return Rejection("oversized", f"the event has {size} bytes, {limit} are allowed; send large content by reference")


def _not_allowed(name: str, arrival: Arrival, rules: Rules) -> Rejection | None:
    if name in rules.event_types or name == IDENTIFY:
        return None
    who = WHO_MAY_WRITE.get(name)
    if who is None:
        known = ", ".join(sorted(rules.event_types))
        return Rejection("unknown_event_type", f"event_name {name!r} is not in the catalogue; the types are {known}")
    if who == "nobody" or not arrival.is_server:
        asked = "is written by the edge itself" if who == "nobody" else "is taken with a server key only"
        return Rejection("not_allowed", f"event_name {name!r} {asked}; leave it out or use such a key")
    return None


def _reject(taken: Taken, index: int, original: Any, rejection: Rejection, arrival: Arrival, rules: Rules) -> None:
    # What the topic takes (app/contract/topics); only an oversized original can be longer, and keeps its beginning.
    kept = _dumps(original)[: 2 * rules.record_bytes]
    taken.records.append(letter(arrival.collector, index, kept, rejection, arrival.received_us))
    taken.rejected[index] = rejection


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value)
