"""Which records become signals: the envelope's own rules, then those of the catalogue in force. The first failed rule rejects.

Whatever is rejected here gets a journal record and a dead letter; nothing is dropped.
"""

from app.contract.envelope import ANONYMOUS_PREFIX, Rejection, Signal, is_time, parse_signal, shown
from app.contract.ids import is_uuid
from app.contract.times import format_us
from app.contract.topics import EVENT_PREFIX, SERVICE_TYPES, event_topic
from app.engine.policies import Policies
from app.engine.rows import MAX_MILESTONE_CHARS
from app.engine.values import InputRecord

# What an edge can say that it gave to whoever asked.
SERVED = ("variant", "fallback", "none")


def admit(record: InputRecord, policies: Policies) -> Signal | Rejection:
    """The signal in `record`, or why it is none."""
    limit = policies.limits.record_bytes
    if len(record.value) > limit:
        return Rejection(
            "oversized",
            f"the record has {len(record.value)} bytes, {limit} are allowed (catalogue bounds.max_record_bytes); "
            "send large content by reference",
        )
    signal = parse_signal(record.value)
    if isinstance(signal, Rejection) or _is_plain(record, signal, policies):
        return signal
    signal = _of_device(record, signal)
    for code, rule in _RULES:
        message = rule(record, signal, policies)
        if message is not None:
            return Rejection(code, message, signal.event_id, signal.unit)
    return signal


def _is_plain(record: InputRecord, signal: Signal, policies: Policies) -> bool:
    """True when every rule of the table below holds, asked at once for the types that no rule is special about."""
    name, limits, after_us = signal.event_name, policies.limits, record.appended_us - signal.ts_us
    return (
        name in policies.budgets_ms
        and name not in _SPECIAL
        and record.topic == EVENT_PREFIX + name
        and record.key == signal.unit.encode()
        and -limits.future_us <= after_us <= limits.past_us
    )


def _of_device(record: InputRecord, signal: Signal) -> Signal:
    """Service types may be keyed by the anonymous unit though they name a user too: an identify by the unit that gives, an
    acknowledgement by the one that its assignment was made for."""
    if signal.event_name not in SERVICE_TYPES or signal.event.get("anonymous_id") is None:
        return signal
    unit = f"{ANONYMOUS_PREFIX}{signal.event['anonymous_id']}"
    return signal._replace(unit=unit) if record.key == unit.encode() else signal


def _known_type(record: InputRecord, signal: Signal, policies: Policies) -> str | None:
    name = signal.event_name
    if name in policies.catalogue.event_types or name in SERVICE_TYPES:
        return None
    known = ", ".join(sorted(policies.catalogue.event_types))
    return f"event_name {name!r} is not in the catalogue; the types are {known}; add one with a catalogue record"


def _own_topic(record: InputRecord, signal: Signal, policies: Policies) -> str | None:
    if record.topic == event_topic(signal.event_name):
        return None
    return f"event_name {signal.event_name!r} came on topic {record.topic!r}; send it to {event_topic(signal.event_name)!r}"


def _own_key(record: InputRecord, signal: Signal, policies: Policies) -> str | None:
    """A wrong key is a wrong partition: another task would decide for this unit without its assignments."""
    if record.key == signal.unit.encode():
        return None
    key = "null" if record.key is None else shown(record.key.decode(errors="replace"))
    return f"the record's key is {key}, its unit {shown(signal.unit)}; key every record by its unit"


def _not_future(record: InputRecord, signal: Signal, policies: Policies) -> str | None:
    if signal.ts_us <= record.appended_us + policies.limits.future_us:
        return None
    bound = policies.catalogue.bounds.ts_future_seconds
    return (
        f"ts {format_us(signal.ts_us)} is more than {bound} s after its arrival at {format_us(record.appended_us)} "
        "(catalogue bounds.ts_future_seconds); correct the sender's clock"
    )


def _not_ancient(record: InputRecord, signal: Signal, policies: Policies) -> str | None:
    if signal.ts_us >= record.appended_us - policies.limits.past_us:
        return None
    bound = policies.catalogue.bounds.ts_past_seconds
    return (
        f"ts {format_us(signal.ts_us)} is more than {bound} s before its arrival at {format_us(record.appended_us)} "
        "(catalogue bounds.ts_past_seconds); send history with `truelift ingest --retime`"
    )


def _milestone_name(record: InputRecord, signal: Signal, policies: Policies) -> str | None:
    if signal.event_name != "activation_milestone":
        return None
    name = signal.properties.get("name")
    if isinstance(name, str) and 0 < len(name) <= MAX_MILESTONE_CHARS:
        return None
    return f"properties.name of a milestone is {shown(name)}; send its name, 1 to {MAX_MILESTONE_CHARS} characters"


def _acknowledges(record: InputRecord, signal: Signal, policies: Policies) -> str | None:
    if signal.event_name != "experiment_exposure":
        return None
    experiment = signal.event.get("experiment")
    if experiment is None:
        return "field experiment is missing; an acknowledgement names key, variant, assignment_id and rule_version"
    if not is_uuid(experiment["assignment_id"]):
        said = shown(experiment["assignment_id"])
        return f"experiment.assignment_id {said} is no id; send the one that came with the decision"
    return None


def _delivers(record: InputRecord, signal: Signal, policies: Policies) -> str | None:
    if signal.event_name != "decision_delivery":
        return None
    said = signal.properties
    if said.get("served") not in SERVED:
        return f"properties.served is {shown(said.get('served'))}; say what was served: {', '.join(SERVED)}"
    for name in ("visible_ts", "delivered_ts"):
        if said.get(name) is not None and not is_time(said[name]):
            return f"properties.{name} is {shown(said[name])}, no moment; send it as 2026-11-22T10:15:30.123456Z, or null"
    return None


# Types that have a rule of their own.
_SPECIAL = SERVICE_TYPES | {"activation_milestone"}

_RULES = (
    ("unknown_event_type", _known_type),
    ("wrong_topic", _own_topic),
    ("key_mismatch", _own_key),
    ("future_ts", _not_future),
    ("ancient_ts", _not_ancient),
    ("invalid_field", _milestone_name),
    ("invalid_field", _acknowledges),
    ("invalid_field", _delivers),
)
