"""The chain of the governance log, read anew: which records count.

A record counts when it is signed by a key that was registered before it, that neither was revoked nor had ended when the broker
appended it, in a role that the key holds and that may write such a record; and when its hash links it to the chain. Refuses to
judge more of a move: what the workers refused for its state has no successor in the chain, but at its very end it would count.
It trusts no byte: whoever may write the topic may write anything.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

GENESIS = "0" * 64
# Canonical JSON is written by recursion, and no honest record is as deep or as long.
MAX_DEPTH = 64
MAX_BYTES = 1 << 20
# Who may write what. An automatic writer can do one thing.
TYPES = {
    "author": {"proposed", "retired", "looked"},
    "approver": {"approved", "looked"},
    "sensitive_approver": {"approved"},
    "operator": {
        "activated", "ramped", "paused", "resumed", "killed", "retired", "rolled_back", "looked", "drill",
        "catalogue", "topology", "checkpoint", "retried",
    },
    "guardian": {"paused"},
    "ramp": {"ramped"},
    "root": {"keys", "catalogue", "topology"},
}  # fmt: skip
_TEXTS = ("prev_hash", "type", "actor", "role", "key_id", "signature")


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


class Key(NamedTuple):
    """ends_ms: None for never."""

    public: bytes
    actor: str
    roles: tuple[str, ...]
    ends_ms: float | None
    revoked: bool


Keys = Mapping[str, Key]


def chain(records: Iterable[Stored], root_public_key: str) -> Iterator[Linked]:
    """The records that count, in order. Of two that follow the same head, the one that is itself followed; else the first."""
    root = raw_key(root_public_key)
    keys: Keys = {_key_id(root): Key(root, "root", ("root",), None, False)}
    after: dict[str, list[Linked]] = {}
    for linked in (linked for stored in records if (linked := _linked(stored)) is not None):
        after.setdefault(linked.body["prev_hash"], []).append(linked)
    head, seq, offset = GENESIS, 0, -1
    while rivals := _next(after.get(head, []), offset, seq, keys):
        followed = (one for one in rivals if _next(after.get(one.hash, []), one.offset, seq + 1, _with(keys, one)))
        chosen = rivals[0] if len(rivals) == 1 else next(followed, rivals[0])
        head, seq, offset, keys = chosen.hash, seq + 1, chosen.offset, _with(keys, chosen)
        yield chosen


def _next(following: list[Linked], offset: int, seq: int, keys: Keys) -> list[Linked]:
    """Those that may come after the record `seq` at `offset`."""
    return [one for one in following if one.offset > offset and one.body["seq"] == seq + 1 and _is_signed(one, keys)]


def _with(keys: Keys, linked: Linked) -> Keys:
    """What is known of keys after this record. Root has signed it, so its form is the product's."""
    if linked.body["type"] != "keys":
        return keys
    body = linked.body["body"]
    ends_ms = None if body["not_after"] is None else datetime.fromisoformat(body["not_after"]).timestamp() * 1000
    key = Key(raw_key(body["public_key"]), body["actor"], tuple(body["roles"]), ends_ms, body["revoked"])
    return {**keys, body["key_id"]: key}


def _linked(stored: Stored) -> Linked | None:
    """None: this is not even a record."""
    if len(stored.value) > MAX_BYTES:
        return None
    try:
        body = orjson.loads(stored.value)
    except orjson.JSONDecodeError:
        return None
    if not _is_record(body) or _depth(body) > MAX_DEPTH:
        return None
    return Linked(stored.offset, stored.timestamp_ms, sha256(stored.value).hexdigest(), body)


def _is_record(body: Any) -> bool:
    if not isinstance(body, dict) or not isinstance(body.get("body"), dict) or type(body.get("seq")) is not int:
        return False
    if not all(isinstance(body.get(name), str) for name in _TEXTS):
        return False
    return isinstance(body.get("policy"), str | None) and isinstance(body.get("rule_version"), int | None)


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= MAX_DEPTH:
        level = [child for parent in level for child in _children(parent)]
        depth += 1
    return depth


def _children(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _is_signed(linked: Linked, keys: Keys) -> bool:
    body = linked.body
    key = keys.get(body["key_id"])
    if key is None or key.revoked or (key.ends_ms is not None and linked.timestamp_ms > key.ends_ms):
        return False
    if body["actor"] != key.actor or body["role"] not in key.roles or body["type"] not in TYPES.get(body["role"], ()):
        return False
    unsigned = {name: value for name, value in body.items() if name != "signature"}
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(raw_key(body["signature"]), rfc8785.dumps(unsigned))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _key_id(public: bytes) -> str:
    return "k" + sha256(public).hexdigest()[:16]


def raw_key(text: str) -> bytes:
    """base64url without padding, or hex."""
    text = text.strip()
    if len(text) == 64 and all(char in "0123456789abcdefABCDEF" for char in text):
        return bytes.fromhex(text)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
