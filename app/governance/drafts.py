"""What one wants to write, before it is signed: functions of the state at the head of the log.

A writer that lost the race asks its draft again on the new head. So a kill names the version that is in force then, while
an approval names the version that its writer has read, and never another.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from app.governance.moves import RecordType, Role
from app.governance.policy_moves import EVERYTHING, POINT_PREFIX
from app.governance.signatures import encode, key_id_of
from app.governance.state import Key, PolicyLog, State
from app.governance.topology import Phase


class Draft(NamedTuple):
    type: RecordType
    policy: str | None
    rule_version: int | None
    body: dict[str, Any]


Drafter = Callable[[State], Draft]
Halt = Literal["paused", "resumed", "killed"]


def propose(body: dict[str, Any]) -> Drafter:
    """The body of a policy, as in its file; it gets the next rule version."""
    key = str(body.get("key"))
    return lambda state: Draft("proposed", key, _log(state, key).newest + 1, body)


def approve(key: str, version: int, what_if_digest: str | None = None) -> Drafter:
    body = {} if what_if_digest is None else {"what_if_digest": what_if_digest}
    return lambda _: Draft("approved", key, version, body)


def activate(key: str, version: int, evidence: dict[str, Any] | None = None) -> Drafter:
    """evidence: why it was thought ready; it stays in the log."""
    return lambda _: Draft("activated", key, version, evidence or {})


def ramp(key: str, coverage_permille: int) -> Drafter:
    return lambda state: Draft("ramped", key, _log(state, key).in_force, {"coverage_permille": coverage_permille})


def halt(record_type: Halt, key: str, evidence: dict[str, Any] | None = None) -> Drafter:
    return lambda state: Draft(record_type, key, _log(state, key).in_force, evidence or {})


def pause(key: str, evidence: dict[str, Any] | None = None) -> Drafter:
    return halt("paused", key, evidence)


def resume(key: str) -> Drafter:
    return halt("resumed", key)


def kill(key: str, *, drill: bool = False) -> Drafter:
    """drill: the kill of an open drill, which the drill may undo. Any other kill stays."""
    return halt("killed", key, {"drill": True} if drill else None)


def switch(record_type: Halt, point: str | None = None) -> Drafter:
    """Of a decision point; None: of everything."""
    target = EVERYTHING if point is None else POINT_PREFIX + point
    return lambda _: Draft(record_type, None, None, {"target": target})


def retire(key: str, version: int) -> Drafter:
    return lambda _: Draft("retired", key, version, {})


def roll_back(key: str, to: int) -> Drafter:
    return lambda state: Draft("rolled_back", key, _log(state, key).newest + 1, {"to": to})


def look(key: str, version: int, body: dict[str, Any]) -> Drafter:
    return lambda _: Draft("looked", key, version, body)


def drill(key: str, state: Literal["begin", "end"]) -> Drafter:
    return lambda known: Draft("drill", key, _log(known, key).in_force, {"state": state})


def catalogue(body: dict[str, Any]) -> Drafter:
    return lambda _: Draft("catalogue", None, None, body)


def topology(phase: Phase, previous: int, partitions: int) -> Drafter:
    return lambda _: Draft("topology", None, None, {"phase": phase, "previous": previous, "partitions": partitions})


def checkpoint(body: dict[str, Any]) -> Drafter:
    return lambda _: Draft("checkpoint", None, None, body)


def retry(places: list[str]) -> Drafter:
    """Of dead letters, as partition:offset."""
    return lambda _: Draft("retried", None, None, {"places": places})


def register_key(public_key: bytes, actor: str, roles: tuple[Role, ...], not_after: str | None = None) -> Drafter:
    return _keys(Key(key_id_of(public_key), public_key, actor, roles, not_after, False))


def revoke_key(key: Key) -> Drafter:
    return _keys(key._replace(revoked=True))


def _keys(key: Key) -> Drafter:
    body = key._asdict() | {"public_key": encode(key.public_key), "roles": list(key.roles)}
    return lambda _: Draft("keys", None, None, body)


def _log(state: State, key: str) -> PolicyLog:
    # An unknown policy is the judge's to name.
    return state.policies.get(key) or PolicyLog(key)
