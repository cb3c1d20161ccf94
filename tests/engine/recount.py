"""Ids and digests recomputed by the standard library alone: what an independent checker would do."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

TRUELIFT = uuid.uuid5(uuid.NAMESPACE_URL, "urn:truelift:1")


def uuid_of(*parts: Any) -> str:
    return str(uuid.uuid5(TRUELIFT, "\x1f".join(map(str, parts))))


def digest_of(rows: Mapping[str, Mapping[bytes, bytes]], unit: str) -> str:
    """The state digest of `unit`, from its rows parsed and written anew."""
    eligibility, assignments = (canonical(rows[table].get(unit.encode())) for table in ("eligibility", "assignments"))
    return hashlib.blake2b(eligibility + b"\n" + assignments).hexdigest()[:16]


def canonical(row: bytes | None) -> bytes:
    """Sorted keys, no spaces, UTF-8; a missing row is empty."""
    if row is None:
        return b""
    return json.dumps(json.loads(row), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
