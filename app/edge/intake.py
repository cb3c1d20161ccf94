"""From what a sender said to the records that are kept: mapped, validated as the worker will, keyed by the unit. No I/O.

Refuses nothing: an event that cannot become a signal becomes a dead letter, with its original and the remedy, and is kept as
durably as any other. The sender has done its part; the team that owns the mapping finds it there.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import orjson

from app.contract.envelope import ANONYMOUS_PREFIX, Rejection, signal_of
from app.contract.ids import event_uuid
from app.contract.mappings import IDENTIFY
from app.contract.templates import BadValueError, Nested, filled
from app.contract.times import format_us
from app.contract.topics import DECISION_DELIVERY, EVENT_PREFIX, EXPERIMENT_EXPOSURE, event_name_of
from app.edge.letters import letter
from app.edge.record import Record
from app.edge.rules import Rules
from app.edge.tokens import Exposable

NATIVE = "edge"

ACKNOWLEDGEMENT = event_name_of(EXPERIMENT_EXPOSURE)
TOKEN_FIELD = "exposure_token"  # noqa: S105 -- the name of a field
_REMEDY = "send the exposure_token that came with the decision"

Who = Literal["token", "nobody"]
# Who may write the records of Truelift's own clients: whoever shows the decision's token (or a server key), or nobody but the
# edge. Every other type is anybody's who has a key.
WHO_MAY_WRITE: dict[str, Who] = {
    ACKNOWLEDGEMENT: "token",
    event_name_of(DECISION_DELIVERY): "nobody",
}


def _no_token(token: str) -> Exposable | None:
    return None


class Sent(NamedTuple):
    """One event as its SDK said it. kind, names: what a mapping is looked up by. fields: what it may read.

    original: what a dead letter keeps.
    """

    kind: str
    names: tuple[str, ...]
    fields: dict[str, Any]
    original: Any


class Arrival(NamedTuple):
    """What all events of one request share. event_bytes: the most that one of them may have.

    exposable: what an exposure token says was served; None for one that is not ours.
    """

    collector: str
    received_us: int
    is_server: bool
    event_bytes: int
    exposable: Callable[[str], Exposable | None] = _no_token


class Taken(NamedTuple):
    """records: one for each event, in order. rejected: those that became dead letters, by their place in the request."""

    records: list[Record]
    rejected: dict[int, Rejection]


def take_sent(events: Iterable[Sent], arrival: Arrival, rules: Rules) -> Taken:
    """Events of an SDK, through the catalogue's mapping."""
    mapping = rules.mappings[arrival.collector]
    intake = _Intake(arrival, rules)
    for sent in events:
        template = mapping.find(sent.kind, sent.names)
        if template is None:
            name = "".join(f":{name}" for name in sent.names[:1])
            remedy = f"add {sent.kind}{name} to the catalogue's mappings.{arrival.collector}"
            intake.reject(sent.original, Rejection("unmapped_event", f"no mapping takes it; {remedy}"))
            continue
        try:
            envelope = filled(template, Nested(sent.fields))
        except BadValueError as error:
            intake.reject(sent.original, Rejection("invalid_field", f"{error}; correct the sender or the catalogue's mapping"))
            continue
        envelope.setdefault("ts", intake.received_ts)
        if "event_id" not in envelope:
            # Sent again it is the same, as long as its sender does not change it.
            envelope["event_id"] = event_uuid(arrival.collector, orjson.dumps(sent.original).decode())
        intake.take(envelope, sent.original)
    return intake.taken


def take_native(events: Iterable[Any], arrival: Arrival, rules: Rules) -> Taken:
    """Envelopes as they are. What only an edge may say of them it says itself."""
    intake = _Intake(arrival, rules)
    for event in events:
        if isinstance(event, dict):
            intake.take(event.copy(), event)
        else:
            what = f"the event is a JSON {type(event).__name__}"
            intake.reject(event, Rejection("not_an_object", f"{what}; send the envelope as one object"))
    return intake.taken


class _Intake:
    """The events of one request, one by one."""

    def __init__(self, arrival: Arrival, rules: Rules) -> None:
        self.taken = Taken([], {})
        self.received_ts = format_us(arrival.received_us)
        self._arrival = arrival
        self._rules = rules
        self._limit_bytes = min(arrival.event_bytes, rules.record_bytes)

    def take(self, envelope: dict[str, Any], original: Any) -> None:
        """`envelope` is this method's own, to be completed."""
        arrival = self._arrival
        envelope["source"], envelope["received_ts"] = arrival.collector, self.received_ts
        event_id = envelope.get("event_id")
        unproven = self._unproven(envelope) if envelope.get("event_name") == ACKNOWLEDGEMENT else None
        value = orjson.dumps(envelope)
        # As the worker will ask of these bytes: what is taken here is not rejected there for its shape.
        signal = signal_of(envelope, value)
        if isinstance(signal, Rejection):
            self.reject(original, signal)
            return
        if signal.event_id != event_id:  # an SDK's id, now a UUID of it
            value = orjson.dumps(envelope)
        name, key = signal.event_name, signal.unit
        refused = self._too_large(value, original) if len(value) > self._limit_bytes else None
        if name not in self._rules.event_types:
            refused = refused or unproven or self._not_allowed(name)
            key = _link_key(envelope, key)
        if refused is None:
            record = Record(EVENT_PREFIX + name, key.encode(), value, signal.event_id, arrival.received_us)
            self.taken.records.append(record)
        else:
            self.reject(original, refused._replace(event_id=signal.event_id, unit=signal.unit))

    def reject(self, original: Any, rejection: Rejection) -> None:
        """The letter has what its topic takes (app/contract/topics): an oversized original keeps its beginning."""
        arrival, taken = self._arrival, self.taken
        kept, place = orjson.dumps(original)[: 2 * self._rules.record_bytes], len(taken.records)
        taken.records.append(letter(arrival.collector, place, kept, rejection, arrival.received_us))
        taken.rejected[place] = rejection

    def _too_large(self, value: bytes, original: Any) -> Rejection | None:
        """The sender is held to the size of what it sent, the record to what the worker takes."""
        size = len(value)
        if size <= self._rules.record_bytes and (size := len(orjson.dumps(original))) <= self._limit_bytes:
            return None
        what = f"the event has {size} bytes, {self._limit_bytes} are allowed"
        return Rejection("oversized", f"{what}; send large content by reference")

    def _not_allowed(self, name: str) -> Rejection | None:
        """Of a name that is no type of the catalogue."""
        if name == IDENTIFY:
            return None
        who = WHO_MAY_WRITE.get(name)
        if who is None:
            known = ", ".join(sorted(self._rules.event_types))
            return Rejection("unknown_event_type", f"event_name {name!r} is not in the catalogue; the types are {known}")
        if who == "nobody":
            return Rejection("not_allowed", f"event_name {name!r} is written by the edge itself; leave it out")
        return None

    def _unproven(self, envelope: dict[str, Any]) -> Rejection | None:
        """Why an acknowledgement is not taken. One with its token becomes the acknowledgement of exactly what was served.

        Its unit is then the one that the assignment was made for, whoever the client has become since. The token stays here:
        a record of it would be read by those who may not use it.
        """
        token = envelope.pop(TOKEN_FIELD, None)
        if token is None:
            needed = f"event_name {ACKNOWLEDGEMENT!r} is taken with its token, or with a server key; {_REMEDY}"
            return None if self._arrival.is_server else Rejection("not_allowed", needed)
        served = self._arrival.exposable(token) if isinstance(token, str) else None
        if served is None:
            return Rejection("invalid_token", f"the exposure_token is none of this installation's, or too old; {_REMEDY}")
        proven = {
            "key": served.policy,
            "variant": served.variant,
            "assignment_id": served.assignment_id,
            "rule_version": int(served.rule_version),
        }
        said = envelope.get("experiment") or {}
        if not isinstance(said, dict) or any(said.get(name, value) != value for name, value in proven.items()):
            return Rejection("token_mismatch", f"experiment is not what its exposure_token was made for; {_REMEDY}")
        envelope["experiment"] = said | proven
        policy = self._rules.policy(served.policy)
        if policy is not None:  # else it was retired since
            envelope["governance"] = {"owner": policy.owner, "rollback_flag": policy.rollback_flag}
        if served.unit.startswith(ANONYMOUS_PREFIX):
            envelope |= {"user_id": None, "anonymous_id": served.unit.removeprefix(ANONYMOUS_PREFIX)}
        else:
            envelope["user_id"] = served.unit
        return None


def _link_key(envelope: dict[str, Any], unit: str) -> str:
    """Of an identify the anonymous unit, whose assignments are what has to move; else the unit."""
    anonymous_id = envelope.get("anonymous_id")
    return unit if envelope["event_name"] != IDENTIFY or anonymous_id is None else f"{ANONYMOUS_PREFIX}{anonymous_id}"
