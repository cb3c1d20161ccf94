"""The id recipes of the contract, written a second time: UUIDv5 of the parts joined by U+001F, standard library only."""

from uuid import NAMESPACE_URL, uuid5

_TRUELIFT = uuid5(NAMESPACE_URL, "urn:truelift:1")


def _id(*parts: object) -> str:
    return str(uuid5(_TRUELIFT, "\x1f".join(str(part) for part in parts)))


def assignment_id(unit: str, policy: str, rule_version: int) -> str:
    return _id(unit, policy, rule_version, "assignment")


def decision_id(topic: str, partition: int, offset: int, policy: str) -> str:
    return _id(topic, partition, offset, policy)


def exposure_id(assignment: str) -> str:
    return _id(assignment, "exposure")


def outcome_id(event_id: str, unit: str) -> str:
    return _id(event_id, unit, "outcome")


def timer_id(decision: str, ordinal: int) -> str:
    return _id(decision, "timer", ordinal)
