"""What keys, catalogue, checkpoint and retried records do to the state."""

import re
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from app.contract.catalogue import Catalogue
from app.contract.policy import RISK_CLASSES
from app.contract.times import parse_us
from app.governance.moves import ROLES
from app.governance.policy_moves import refuse_problems
from app.governance.problems import Problem, shape_problems
from app.governance.records import Record, RefusedError
from app.governance.rules import body_problems, conditions
from app.governance.signatures import PUBLIC_KEY_BYTES, decode, key_id_of
from app.governance.state import ROOT_ACTOR, Key, State

KEYS_FIELDS = frozenset({"key_id", "public_key", "actor", "roles", "not_after", "revoked"})
# Automatic writers have keys of their own that can do one thing.
SOLE_ROLES = frozenset({"guardian", "ramp", "root"})
_PLACE = re.compile(r"[0-9]{1,9}:[0-9]{1,19}").fullmatch


def apply_keys(state: State, record: Record) -> State:
    key = _key_of(record.body)
    is_root = key.public_key == state.root_public_key
    if is_root != ("root" in key.roles) or is_root != (key.actor == ROOT_ACTOR):
        raise _bad_key(f"the role and the actor root belong to the root key alone, not to {key.key_id}")
    if is_root and (key.revoked or key.not_after is not None):
        raise _bad_key("the root key cannot be revoked or end: it is a setting of every worker")
    known = state.keys.get(key.key_id)
    if known is not None and known.revoked:
        raise RefusedError("revoked_key", f"key {key.key_id} is revoked and stays so", "Make a new one: truelift keys new")
    if known is not None and known.actor != key.actor:
        raise _bad_key(f"key {key.key_id} belongs to {known.actor!r} and cannot pass to {key.actor!r}")
    return replace(state, keys=MappingProxyType({**state.keys, key.key_id: key}))


def _key_of(body: dict[str, Any]) -> Key:
    if body.keys() != KEYS_FIELDS:
        raise _bad_key(f"the fields are {', '.join(sorted(body))}")
    public_key = decode(body["public_key"]) if isinstance(body["public_key"], str) else None
    if public_key is None or len(public_key) != PUBLIC_KEY_BYTES or body["key_id"] != key_id_of(public_key):
        raise _bad_key("key_id does not follow from public_key")
    actor, roles, not_after, revoked = body["actor"], body["roles"], body["not_after"], body["revoked"]
    if not isinstance(actor, str) or not actor.strip():
        raise _bad_key(f"the actor is {actor!r}")
    if not isinstance(roles, list) or not roles or any(role not in ROLES for role in roles) or len(set(roles)) < len(roles):
        raise _bad_key(f"the roles are {roles!r}; known are {', '.join(ROLES)}")
    if len(roles) > 1 and not SOLE_ROLES.isdisjoint(roles):
        raise _bad_key(f"the roles are {roles!r}; guardian, ramp and root keys hold no other role")
    if not isinstance(revoked, bool) or not _is_time_or_none(not_after):
        raise _bad_key(f"revoked is {revoked!r}, not_after is {not_after!r}")
    return Key(body["key_id"], public_key, actor, tuple(roles), not_after, revoked)


def _is_time_or_none(value: Any) -> bool:
    if value is None:
        return True
    try:
        parse_us(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _bad_key(what: str) -> RefusedError:
    remedy = f"A keys record has {', '.join(sorted(KEYS_FIELDS))}; write it with truelift keys new|revoke"
    return RefusedError("bad_key", what, remedy)


def apply_catalogue(state: State, record: Record) -> State:
    refuse_problems("invalid_body", shape_problems(Catalogue, record.body))
    catalogue = Catalogue.model_validate(record.body)
    lowered = _lowered_classes(state.catalogue, catalogue)
    if lowered and record.role != "root":
        what = f"the class of {', '.join(lowered)} would be lowered or dropped, and with it the review that protects it"
        raise RefusedError("needs_root", what, "Let the root key sign this catalogue")
    refuse_problems("catalogue_breaks_policy", _broken_policies(state, catalogue))
    return replace(state, catalogue=catalogue)


def _lowered_classes(before: Catalogue, after: Catalogue) -> list[str]:
    def classes(catalogue: Catalogue) -> dict[str, int]:
        found = {f"event type {name}": entry.risk_class for name, entry in catalogue.event_types.items()}
        points = {f"decision point {name}": p.risk_class or "low" for name, p in catalogue.decision_points.items()}
        return {name: RISK_CLASSES.index(risk_class) for name, risk_class in (found | points).items()}

    new = classes(after)
    return [name for name, rank in classes(before).items() if new.get(name, 0) < rank]


def _broken_policies(state: State, catalogue: Catalogue) -> list[Problem]:
    """Problems of policies in force under a new catalogue: of the current body all, of earlier ones what is still compiled."""
    found: list[Problem] = []
    for log in state.policies.values():
        current = log.current
        if current is None:
            continue
        problems = [problem for problem in body_problems(current.body, catalogue) if not problem.warning]
        for version in log.versions.values():
            if version.activated and version.number != current.number:
                problems += conditions(version.body, catalogue)
        found += [problem._replace(what=f"policy {log.key}: {problem.what}") for problem in problems]
    return found


def apply_checkpoint(state: State, record: Record) -> State:
    """Bound to the log so that nobody can swap the file; readers of checkpoints look the digest up."""
    digest = record.body.get("digest")
    if not isinstance(digest, str) or not digest:
        raise RefusedError("invalid_body", f"digest is {digest!r}", "Give the digest that truelift replay checkpoint prints")
    return state


def apply_retried(state: State, record: Record) -> State:
    """Who sent which dead letters back, and why. It changes nothing: what they become is decided as of any other record."""
    places = record.body.get("places")
    if not isinstance(places, list) or not places or not all(isinstance(place, str) and _PLACE(place) for place in places):
        raise RefusedError("invalid_body", f"places is {places!r}", "Give places as truelift deadletter list shows them")
    return state
