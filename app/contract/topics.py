"""Topic names, who is co-partitioned, and how long each is kept. Refuses nothing: creating and checking is app/stream/admin."""

from collections.abc import Iterable
from typing import NamedTuple

EVENT_PREFIX = "events."
FLAG_EVALUATION = "events.flag_evaluation"
EXPERIMENT_EXPOSURE = "events.experiment_exposure"
DECISION_DELIVERY = "events.decision_delivery"
IDENTIFY = "events.identify"
IDENTITY_LINKS = "identity_links"
TICKS = "ticks"
JOURNAL = "decisions"
EXPOSURES = "exposures"
OUTCOMES = "outcomes"
DEADLETTER = "deadletter"
REPLIES = "replies"
GOVERNANCE = "governance"

# Types whose topics carry records of Truelift's own clients; every other events.* topic carries signals.
SERVICE_TYPES = frozenset({"experiment_exposure", "decision_delivery", "identify"})

AUDIT_WINDOW_DAYS = 400
REPLIES_KEPT_MINUTES = 10
# A dead letter carries its original as base64 (4 bytes for 3) beside reason, message and source.
DEADLETTER_OVERHEAD_BYTES = 16_384
# A journal record names its input, never repeats it; yet every triggered policy adds its gates.
RECORD_OVERHEAD_BYTES = 65_536

_FOREVER = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
_AUDIT = {"retention.ms": str(AUDIT_WINDOW_DAYS * 86_400_000), "cleanup.policy": "delete"}
_MINUTES = {"retention.ms": str(REPLIES_KEPT_MINUTES * 60_000), "cleanup.policy": "delete"}
# The broker's clock, not the client's, orders and times the inputs.
_BROKER_TIME = {"message.timestamp.type": "LogAppendTime"}
_INPUT = _AUDIT | _BROKER_TIME


class TopicSpec(NamedTuple):
    """partitions None: as many as the app has partition groups."""

    name: str
    partitions: int | None
    configs: dict[str, str]


def event_topic(event_name: str) -> str:
    return EVENT_PREFIX + event_name


def event_name_of(topic: str) -> str:
    return topic.removeprefix(EVENT_PREFIX)


# An evaluation of one flag, named by `properties.flag`, concerns the policy of that key alone.
FLAG_EVENT = event_name_of(FLAG_EVALUATION)


def topic_specs(event_types: Iterable[str], max_record_bytes: int) -> list[TopicSpec]:
    """Every topic of an installation whose catalogue has `event_types` and takes inputs up to `max_record_bytes`."""
    signals = sorted({event_topic(name) for name in event_types} | {FLAG_EVALUATION})
    inputs = [*signals, EXPERIMENT_EXPOSURE, DECISION_DELIVERY, IDENTIFY, IDENTITY_LINKS, TICKS]
    # Wider than the catalogue's bound: an oversized record must arrive to be rejected with a reason.
    input_bytes = {"max.message.bytes": str(2 * max_record_bytes)}
    output_bytes = {"max.message.bytes": str(max_record_bytes + RECORD_OVERHEAD_BYTES)}
    deadletter_bytes = {"max.message.bytes": str(deadletter_bytes_of(2 * max_record_bytes))}
    return [
        *(TopicSpec(name, None, _INPUT | input_bytes) for name in inputs),
        TopicSpec(JOURNAL, None, _AUDIT | output_bytes),
        TopicSpec(EXPOSURES, None, _FOREVER | input_bytes),
        TopicSpec(OUTCOMES, None, _FOREVER | input_bytes),
        TopicSpec(DEADLETTER, None, _AUDIT | deadletter_bytes),
        TopicSpec(REPLIES, None, _MINUTES | output_bytes),
        # The time of a governance record is the broker's: an expired key cannot date itself back.
        TopicSpec(GOVERNANCE, 1, _FOREVER | _BROKER_TIME | input_bytes),
    ]


def deadletter_bytes_of(original_bytes: int) -> int:
    """Size of the dead letter that an original of this size needs."""
    return original_bytes * 4 // 3 + DEADLETTER_OVERHEAD_BYTES
