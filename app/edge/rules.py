"""What the governed catalogue says to an edge, compiled once per change: types, mappings, write keys, bounds."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from app.contract.catalogue import Catalogue, WriteKey
from app.contract.mappings import SdkMapping, compile_mappings
from app.contract.times import SECOND_US

PUBLIC_PREFIX = "tlp_"
SERVER_PREFIX = "tls_"
# Longer than any key of ours; what is longer is not hashed.
KEY_MAX_CHARS = 256


class Caller(NamedTuple):
    """Whose key a request shows."""

    key_id: str
    key: WriteKey

    @property
    def is_server(self) -> bool:
        return self.key.kind == "server"


class Rules(NamedTuple):
    """An immutable snapshot. offset: that of the governance record it stands after, -1 before the first."""

    offset: int
    event_types: frozenset[str]
    mappings: Mapping[str, SdkMapping]
    callers: Mapping[str, Caller]  # by the hash of the key
    dedup_window_us: int
    record_bytes: int
    largest_body_bytes: int  # that any key is allowed; 0: none has a bound of its own

    def caller(self, key: str | None) -> Caller | None:
        """Looked up by its hash: how long that takes says nothing about the keys there are."""
        if not key or len(key) > KEY_MAX_CHARS:
            return None
        return self.callers.get(hash_of(key))


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def rules_of(catalogue: Catalogue, offset: int) -> Rules:
    mappings, _ = compile_mappings(catalogue.mappings, catalogue.event_types)
    return Rules(
        offset,
        frozenset(catalogue.event_types),
        mappings,
        {key.sha256: Caller(key_id, key) for key_id, key in catalogue.write_keys.items()},
        catalogue.windows.dedup_window_seconds * SECOND_US,
        catalogue.bounds.max_record_bytes,
        max((key.body_bytes or 0 for key in catalogue.write_keys.values()), default=0),
    )
