"""What the checker needs of the governance log, read anew: which versions may reassign, and when nobody may be treated.

Owns following the chain: a record counts when its signature is one of a key that the log registered and its hash links it to
the chain. Refuses to judge moves: what the workers refused has no successor in the chain, and is left out.
"""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

GENESIS = "0" * 64
# What a record makes of its target: treating is over, or may begin again.
HALTS = {"killed": True, "paused": True, "resumed": False, "activated": False, "rolled_back": False}
DEDUP_WINDOW_SECONDS = 86_400
MAX_STALE_SECONDS = 5
# Brokers keep time by clocks of their own.
CLOCKS_MS = 1_000


class Stored(NamedTuple):
    """A record as it lies in the log. timestamp_ms: the broker's."""

    offset: int
    timestamp_ms: int
    value: bytes


class Linked(NamedTuple):
    """A record as it lies in the log, and its place in the chain."""

    offset: int
    timestamp_ms: int
    hash: str
    body: dict[str, Any]


class Governed:
    """halted(policy, decision point, offset): whether a record decided at that governance offset may treat nobody."""

    def __init__(self, records: Iterable[Stored], root_public_key: str) -> None:
        self._reassigning: set[tuple[str, int]] = set()
        self._switches: dict[str, tuple[list[int], list[bool]]] = {}
        self.dedup_window_seconds = DEDUP_WINDOW_SECONDS
        self.counts: tuple[int, ...] = ()  # of partitions, oldest first, when they ever changed
        self._max_stale_seconds = MAX_STALE_SECONDS
        self._appended: tuple[list[int], list[int]] = ([], [])  # times in ms, and the newest offset at each
        bodies: dict[tuple[str, int], dict[str, Any]] = {}
        for linked in _chain(list(records), _raw_key(root_public_key)):
            self._take(linked, bodies)

    def may_reassign(self, policy: str, rule_version: int) -> bool:
        return (policy, rule_version) in self._reassigning

    def halted(self, policy: str, decision_point: str, offset: int) -> bool:
        return any(self._is_on(target, offset) for target in (f"policy:{policy}", f"point:{decision_point}", "*"))

    def stale(self, offset: int, appended_ms: int) -> bool:
        """Whether a record appended at that time was decided by a log so old that it may treat nobody.

        A worker trusts its view for so long after the last proof of freshness, and decides a record after its append.
        """
        times, offsets = self._appended
        at = bisect_right(times, appended_ms - self._max_stale_seconds * 1000 - CLOCKS_MS)
        return at > 0 and offset < offsets[at - 1]

    def _is_on(self, target: str, offset: int) -> bool:
        offsets, states = self._switches.get(target, ((), ()))
        at = bisect_right(offsets, offset)
        return at > 0 and states[at - 1]

    def _take(self, linked: Linked, bodies: dict[tuple[str, int], dict[str, Any]]) -> None:
        body, policy, version = linked.body, linked.body["policy"], linked.body["rule_version"]
        times, offsets = self._appended
        times.append(max(linked.timestamp_ms, times[-1] if times else 0))
        offsets.append(linked.offset)
        if body["type"] == "catalogue":
            window = body["body"].get("windows", {}).get("dedup_window_seconds", DEDUP_WINDOW_SECONDS)
            self.dedup_window_seconds = min(self.dedup_window_seconds, window)
            stale = body["body"].get("bounds", {}).get("governance_max_stale_seconds", MAX_STALE_SECONDS)
            self._max_stale_seconds = max(self._max_stale_seconds, stale)
        elif body["type"] == "topology" and body["body"].get("phase") == "moving":
            self.counts = (*(self.counts or (body["body"]["previous"],)), body["body"]["partitions"])
        elif body["type"] == "proposed":
            bodies[policy, version] = body["body"]
        elif body["type"] == "rolled_back":
            bodies[policy, version] = bodies.get((policy, body["body"].get("to")), {})
        if bodies.get((policy, version), {}).get("reassign") is True:
            self._reassigning.add((policy, version))
        on = HALTS.get(body["type"])
        if on is not None:
            target = body["body"].get("target") if policy is None else f"policy:{policy}"
            offsets, states = self._switches.setdefault(str(target), ([], []))
            offsets.append(linked.offset)
            states.append(on)


def _chain(records: list[Stored], root: bytes) -> Iterator[Linked]:
    """The accepted records. Of two that follow the same head, the one that is itself followed; at the head, the first."""
    keys = {_key_id(root): root}
    candidates = [linked for stored in records if (linked := _linked(stored)) is not None]
    followed = {linked.body["prev_hash"] for linked in candidates}
    head, seq = GENESIS, 0
    for linked in candidates:
        body = linked.body
        if body["prev_hash"] != head or body["seq"] != seq + 1 or not _is_signed(body, keys):
            continue
        rivals = (other for other in candidates if other.offset > linked.offset and other.body["prev_hash"] == head)
        if linked.hash not in followed and any(rival.hash in followed for rival in rivals):
            continue
        head, seq = linked.hash, body["seq"]
        if body["type"] == "keys":
            keys[body["body"]["key_id"]] = _raw_key(body["body"]["public_key"])
        yield linked


def _linked(stored: Stored) -> Linked | None:
    try:
        body = orjson.loads(stored.value)
    except orjson.JSONDecodeError:
        return None
    known = isinstance(body, dict) and {"seq", "prev_hash", "type", "policy", "rule_version", "body", "key_id"} <= body.keys()
    if not known or not isinstance(body["body"], dict):
        return None
    return Linked(stored.offset, stored.timestamp_ms, sha256(stored.value).hexdigest(), body)


def _is_signed(body: dict[str, Any], keys: dict[str, bytes]) -> bool:
    public = keys.get(body["key_id"])
    if public is None:
        return False
    unsigned = {name: value for name, value in body.items() if name != "signature"}
    try:
        signature = _raw_key(str(body.get("signature")))
        Ed25519PublicKey.from_public_bytes(public).verify(signature, rfc8785.dumps(unsigned))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _key_id(public: bytes) -> str:
    return "k" + sha256(public).hexdigest()[:16]


def _raw_key(text: str) -> bytes:
    """base64url without padding, or hex."""
    text = text.strip()
    if len(text) == 64 and all(char in "0123456789abcdefABCDEF" for char in text):
        return bytes.fromhex(text)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
