"""The id recipes of the contract, written a second time: UUIDv5 of the parts joined by U+001F, standard library only."""

from hashlib import blake2b
from uuid import NAMESPACE_URL, UUID, uuid5

_TRUELIFT = uuid5(NAMESPACE_URL, "urn:truelift:1")


def _id(*parts: object) -> str:
    return str(uuid5(_TRUELIFT, "\x1f".join(str(part) for part in parts)))


def assignment_id(unit: str, policy: str, rule_version: int) -> str:
    return _id(unit, policy, rule_version, "assignment")


def own_assignment_id(decision: str) -> str:
    """Of an assignment that one decision has to itself."""
    return _id(decision, "assignment")


def decision_id(topic: str, partition: int, offset: int, policy: str) -> str:
    return _id(topic, partition, offset, policy)


def exposure_id(assignment: str) -> str:
    return _id(assignment, "exposure")


def outcome_id(event_id: str, unit: str) -> str:
    return _id(event_id, unit, "outcome")


def timer_id(decision: str, ordinal: int) -> str:
    return _id(decision, "timer", ordinal)


def link_id(topic: str, partition: int, offset: int, unit: str, ordinal: int) -> str:
    return _id(topic, partition, offset, unit, "link", ordinal)


def seen_key(day: int, unit: str, event_id: str) -> bytes:
    """Of the row that files an id: the day of its append, the unit, the id."""
    return b"s" + day.to_bytes(4) + unit.encode() + b"\x1f" + UUID(event_id).bytes


def day_of(key: bytes) -> int:
    """The day of such a key."""
    return int.from_bytes(key[1:5])


def unit_of(key: bytes) -> bytes:
    """The unit of such a key."""
    return key[5:-17]


def timer_of(key: bytes) -> str | None:
    """The timer of a row of the timers table; None for the table's other rows."""
    return str(UUID(bytes=key[9:])) if key[:1] == b"t" and len(key) == 25 else None


def state_digest(eligibility: bytes, assignments: bytes) -> str:
    return blake2b(eligibility + b"\n" + assignments).hexdigest()[:16]
