"""Canonical bytes: RFC 8785 for what is signed or hashed in governance, sorted-key JSON for stored rows."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson
import rfc8785

DIGEST_HEX_DIGITS = 16


def canonical(value: Any) -> bytes:
    """RFC 8785 (JSON Canonicalization Scheme) bytes. rfc8785.CanonicalizationError for what JSON cannot say."""
    return rfc8785.dumps(value)


def row_bytes(row: Mapping[str, Any]) -> bytes:
    """A table row as stored: sorted keys, no spaces, UTF-8. Stored bytes are canonical by construction."""
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)


def state_digest(eligibility: bytes, assignments: bytes) -> str:
    """First 16 hex digits of BLAKE2b-512 over the unit's two rows as stored; a missing row is empty bytes."""
    return blake2b(eligibility + b"\n" + assignments).hexdigest()[:DIGEST_HEX_DIGITS]
