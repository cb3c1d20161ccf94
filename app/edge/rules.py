"""What the governance log says to an edge, compiled once per change: types, mappings, write keys, bounds and fallbacks."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from app.contract.catalogue import Catalogue, WriteKey
from app.contract.mappings import SdkMapping, compile_mappings
from app.contract.times import SECOND_US
from app.engine.policies import Policies

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


class KnownPolicy(NamedTuple):
    """What an edge must know of a policy in force: enough to answer when no decision comes in time.

    halted: None, or killed | paused, of the policy, its decision point or everything.
    """

    key: str
    kind: str
    mode: str
    decision_point: str
    trigger_event: str
    owner: str
    rollback_flag: str
    halted: str | None
    fallback_action: Mapping[str, Any]

    @property
    def treats(self) -> bool:
        return self.halted is None and self.mode == "live"


class Rules(NamedTuple):
    """An immutable snapshot. offset: that of the governance record it stands after, -1 before the first.

    budgets_ms: by event type. policies: those in force that an event of the type triggers.
    """

    offset: int
    event_types: frozenset[str]
    mappings: Mapping[str, SdkMapping]
    callers: Mapping[str, Caller]  # by the hash of the key
    dedup_window_us: int
    record_bytes: int
    largest_body_bytes: int  # that any key is allowed; 0: none has a bound of its own
    budgets_ms: Mapping[str, int]
    policies: Mapping[str, tuple[KnownPolicy, ...]]

    def policy(self, key: str) -> KnownPolicy | None:
        """One in force."""
        return next((policy for policies in self.policies.values() for policy in policies if policy.key == key), None)

    def caller(self, key: str | None) -> Caller | None:
        """Looked up by its hash: how long that takes says nothing about the keys there are."""
        if not key or len(key) > KEY_MAX_CHARS:
            return None
        return self.callers.get(hash_of(key))


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def known_policies(policies: Policies) -> tuple[KnownPolicy, ...]:
    return tuple(
        KnownPolicy(
            key=policy.key,
            kind=policy.kind,
            mode=policy.mode,
            decision_point=policy.decision_point,
            trigger_event=policy.trigger_event,
            owner=policy.owner,
            rollback_flag=policy.rollback_flag,
            halted=None if policy.halt is None else policy.halt[0],
            fallback_action=orjson.loads(policy.fallback_action.json),
        )
        for policy in policies.by_key.values()
    )


def rules_of(catalogue: Catalogue, offset: int, policies: Iterable[KnownPolicy] = ()) -> Rules:
    by_event: dict[str, tuple[KnownPolicy, ...]] = {}
    for policy in policies:
        by_event[policy.trigger_event] = (*by_event.get(policy.trigger_event, ()), policy)
    mappings, _ = compile_mappings(catalogue.mappings, catalogue.event_types)
    return Rules(
        offset,
        frozenset(catalogue.event_types),
        mappings,
        {key.sha256: Caller(key_id, key) for key_id, key in catalogue.write_keys.items()},
        catalogue.windows.dedup_window_seconds * SECOND_US,
        catalogue.bounds.max_record_bytes,
        max((key.body_bytes or 0 for key in catalogue.write_keys.values()), default=0),
        {name: event_type.budget_ms for name, event_type in catalogue.event_types.items()},
        by_event,
    )
