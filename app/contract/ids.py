"""Every id that Truelift makes: a UUIDv5 (RFC 9562) of the id's inputs, so that a replay makes the same one.

The name is the parts joined by U+001F, the unit separator, which no part may contain.
"""

import hashlib
import re
import uuid

TRUELIFT = uuid.uuid5(uuid.NAMESPACE_URL, "urn:truelift:1")
SEPARATOR = "\x1f"

_NAMESPACE = hashlib.sha1(TRUELIFT.bytes, usedforsecurity=False)
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


def uuid_of(name: str) -> str:
    """UUIDv5 of `name` in the namespace TRUELIFT, in canonical text form.

    Equals str(uuid.uuid5(TRUELIFT, name)) at a third of its cost: the hash of the namespace is taken once and copied.
    """
    sha = _NAMESPACE.copy()
    sha.update(name.encode())
    h = sha.hexdigest()
    return f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{_VARIANT[h[16]]}{h[17:20]}-{h[20:32]}"


# RFC 9562: the two highest bits of octet 8 are 10.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def assignment_id(unit: str, policy: str, rule_version: int) -> str:
    return uuid_of(f"{unit}\x1f{policy}\x1f{rule_version}\x1fassignment")


def own_assignment_id(decision: str) -> str:
    """Of an assignment that was drawn for one decision and binds no other."""
    return uuid_of(f"{decision}\x1fassignment")


def is_own(assignment: str | None, decision: str | None) -> bool:
    """Whether the assignment was drawn for this decision alone: the ids themselves tell."""
    return assignment is not None and decision is not None and assignment == own_assignment_id(decision)


def decision_id(topic: str, partition: int, offset: int, policy: str) -> str:
    return uuid_of(f"{topic}\x1f{partition}\x1f{offset}\x1f{policy}")


def exposure_id(assignment: str) -> str:
    return uuid_of(f"{assignment}\x1fexposure")


def outcome_id(event_id: str, unit: str) -> str:
    return uuid_of(f"{event_id}\x1f{unit}\x1foutcome")


def timer_id(decision: str, ordinal: int) -> str:
    return uuid_of(f"{decision}\x1ftimer\x1f{ordinal}")


def link_id(topic: str, partition: int, offset: int, unit: str, ordinal: int) -> str:
    """Of the consumed record that sent the link; a tick sends links of several units, a Step may send several."""
    return uuid_of(f"{topic}\x1f{partition}\x1f{offset}\x1f{unit}\x1flink\x1f{ordinal}")


def is_uuid(text: str) -> bool:
    """True for the canonical (lower case, hyphenated) form, the only one that is kept as an event id."""
    return _CANONICAL_UUID(text) is not None


def event_uuid(source: str, sdk_id: str) -> str:
    """The event id of an SDK id that is no UUID: UUIDv5 of (source, id)."""
    return uuid_of(f"{source}{SEPARATOR}{sdk_id}")
