"""May this record be applied, and what state follows? Pure: (State, Sealed, append time) -> State, or RefusedError with a code.

The order of the questions: is it signed by a known, valid key; may that key's role write this type; is it next in the chain;
is its time credible; are its bytes canonical; is the move legal. So what looks into a body, which costs time, is asked of the
holder of a valid key alone, and not of an old record again. The moves are in policy_moves.py, admin_moves.py and topology.py.
"""

from collections.abc import Callable
from dataclasses import replace

from app.contract.times import SECOND_US, format_us, parse_us
from app.governance.admin_moves import apply_catalogue, apply_checkpoint, apply_keys, apply_retried
from app.governance.moves import ROLES_OF, RecordType
from app.governance.policy_moves import (
    apply_activated,
    apply_approved,
    apply_drill,
    apply_halt,
    apply_looked,
    apply_proposed,
    apply_ramped,
    apply_retired,
    apply_rolled_back,
)
from app.governance.records import Record, RefusedError, Sealed
from app.governance.signatures import is_signed_by, record_hash
from app.governance.state import Key, State
from app.governance.topology import after_topology

# A record's own time against the broker's append time: people read `ts`, and a replay of old records shows.
TS_SKEW_SECONDS = 300
# In place of the append time, where the topic does not have the broker write it: a key's end could not be told.
NO_BROKER_TIME = -1
BROKER_TIME_REMEDY = "Set message.timestamp.type=LogAppendTime on the topic `governance`, and write the record again"

_EFFECTS: dict[RecordType, Callable[[State, Record], State]] = {
    "proposed": apply_proposed,
    "approved": apply_approved,
    "activated": apply_activated,
    "ramped": apply_ramped,
    "paused": apply_halt,
    "resumed": apply_halt,
    "killed": apply_halt,
    "retired": apply_retired,
    "rolled_back": apply_rolled_back,
    "looked": apply_looked,
    "drill": apply_drill,
    "catalogue": apply_catalogue,
    "keys": apply_keys,
    "checkpoint": apply_checkpoint,
    "retried": apply_retried,
}


def judge(state: State, sealed: Sealed, append_us: int) -> State:
    """The state after the record, which the broker appended at `append_us`. Raises RefusedError; never changes `state`."""
    if append_us == NO_BROKER_TIME:
        raise RefusedError("no_broker_time", "the record's time is its writer's word", BROKER_TIME_REMEDY)
    _check_key(_signer(state, sealed), sealed.record, append_us)
    _check_chain(state, sealed.record)
    _check_words(sealed.record, append_us)
    record = sealed.check()
    if record.type == "topology":  # the one effect that has the broker's time in it
        after = replace(state, partitions=after_topology(state.partitions, record.body, append_us))
    else:
        after = _EFFECTS[record.type](state, record)
    return replace(after, seq=record.seq, head_hash=record_hash(sealed.raw))


def _signer(state: State, sealed: Sealed) -> Key:
    record = sealed.record
    if not record.signature:
        raise RefusedError("unsigned", "the record carries no signature", "Sign it: truelift --as NAME")
    key = state.keys.get(record.key_id)
    if key is None:
        raise RefusedError("unknown_key", f"no keys record knows {record.key_id!r}", "Let root register it: truelift keys new")
    if not is_signed_by(sealed, key.public_key):
        what = f"the signature is not one of key {key.key_id}"
        raise RefusedError("bad_signature", what, "The record was changed after it was signed; sign it anew")
    return key


def _check_key(key: Key, record: Record, append_us: int) -> None:
    if key.revoked:
        raise RefusedError("revoked_key", f"key {key.key_id} of {key.actor} is revoked", "Use another key: truelift keys list")
    # By the broker's clock, which is in the log for every reader: a thief of an old key would write any `ts` that suits him.
    if key.not_after is not None and append_us > parse_us(key.not_after):
        what = f"key {key.key_id} of {key.actor} ended at {key.not_after}"
        raise RefusedError("expired_key", what, "Make a new one: truelift keys new")
    if record.actor != key.actor:
        what = f"key {key.key_id} belongs to {key.actor!r}, not to {record.actor!r}"
        raise RefusedError("wrong_actor", what, "Name the key's own actor")
    if record.role not in key.roles:
        what = f"{key.actor} does not hold the role {record.role!r} but {', '.join(key.roles)}"
        raise RefusedError("role_not_held", what, "Sign in a role that is held")
    allowed = ROLES_OF[record.type]
    if record.role not in allowed:
        needed = " or ".join(allowed)
        what = f"a {record.type} record needs the role {needed}, not {record.role}"
        raise RefusedError("wrong_role", what, f"Ask one who is {needed}")


def _check_chain(state: State, record: Record) -> None:
    if record.prev_hash != state.head_hash:
        what = f"the record follows {record.prev_hash[:12]}, but the head is {state.head_hash[:12]} (seq {state.seq})"
        raise RefusedError("out_of_chain", what, "Read the log to its end and sign again on its head")
    if record.seq != state.seq + 1:
        raise RefusedError("wrong_seq", f"seq is {record.seq} after {state.seq}", "Number records without gaps")


def _check_words(record: Record, append_us: int) -> None:
    if abs(append_us - record.ts_us) > TS_SKEW_SECONDS * SECOND_US:
        what = f"ts {record.ts} is more than {TS_SKEW_SECONDS} s from the broker's {format_us(append_us)}"
        raise RefusedError("ts_out_of_bounds", what, "Set the clock of the writing machine")
    if not record.reason.strip():
        raise RefusedError("no_reason", "the record gives no reason", "Say why: --reason TEXT")
