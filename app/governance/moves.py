"""The legal moves: which record may be written in which state, by which role, and what state follows. One table.

A policy version goes draft -> proposed -> approved -> active -> paused | killed | retired. A version that another one
replaced is superseded, and only such a one can be rolled back to: a killed one would come back without a second person, a
retired one was ended on purpose. A killed version is resumed only inside the drill that killed it (app/governance/judge.py).
A second kill is legal, because whoever presses that button must never be told no; so is a second pause.
"""

from typing import Literal, get_args

VersionState = Literal["draft", "proposed", "approved", "active", "paused", "killed", "retired", "superseded"]
Role = Literal["author", "approver", "sensitive_approver", "operator", "guardian", "ramp", "root"]
RecordType = Literal[
    "proposed", "approved", "activated", "ramped", "paused", "resumed", "killed", "retired", "rolled_back",
    "looked", "drill", "catalogue", "keys", "topology", "checkpoint", "retried",
]  # fmt: skip

ROLES: tuple[Role, ...] = get_args(Role)
RECORD_TYPES: tuple[RecordType, ...] = get_args(RecordType)
VERSION_STATES: tuple[VersionState, ...] = get_args(VersionState)

# Who may write a record of each type. The first role that a key has is the one it signs with.
ROLES_OF: dict[RecordType, tuple[Role, ...]] = {
    "proposed": ("author",),
    "approved": ("sensitive_approver", "approver"),
    "activated": ("operator",),
    "ramped": ("operator", "ramp"),
    "paused": ("operator", "guardian"),
    "resumed": ("operator",),
    "killed": ("operator",),
    "retired": ("operator", "author"),
    "rolled_back": ("operator",),
    "looked": ("operator", "approver", "author"),
    "drill": ("operator",),
    "catalogue": ("operator", "root"),
    "keys": ("root",),
    "topology": ("operator", "root"),
    "checkpoint": ("operator",),
    "retried": ("operator",),
}

# Of one policy version. What is not here is illegal.
MOVES: dict[tuple[VersionState, RecordType], VersionState] = {
    ("draft", "proposed"): "proposed",
    ("proposed", "approved"): "approved",
    ("approved", "approved"): "approved",  # one more approval, when the class in force has risen since the first
    ("approved", "activated"): "active",
    ("active", "ramped"): "active",
    ("active", "paused"): "paused",
    ("paused", "paused"): "paused",
    ("paused", "resumed"): "active",
    ("killed", "resumed"): "active",
    ("active", "killed"): "killed",
    ("paused", "killed"): "killed",
    ("killed", "killed"): "killed",
    ("superseded", "rolled_back"): "superseded",  # its body comes back as a new version
    ("proposed", "retired"): "retired",
    ("approved", "retired"): "retired",
    ("active", "retired"): "retired",
    ("paused", "retired"): "retired",
    ("killed", "retired"): "retired",
    ("active", "looked"): "active",
    ("paused", "looked"): "paused",
    ("killed", "looked"): "killed",
    ("retired", "looked"): "retired",
    ("superseded", "looked"): "superseded",
    ("active", "drill"): "active",
    ("paused", "drill"): "paused",
    ("killed", "drill"): "killed",
}

SwitchState = Literal["off", "paused", "killed"]
# Of a decision point ("point:<name>") or of everything ("*").
SWITCH_MOVES: dict[tuple[SwitchState, RecordType], SwitchState] = {
    ("off", "paused"): "paused",
    ("paused", "paused"): "paused",
    ("paused", "resumed"): "off",
    ("killed", "resumed"): "off",
    ("off", "killed"): "killed",
    ("paused", "killed"): "killed",
    ("killed", "killed"): "killed",
}


def legal_types(state: VersionState) -> list[RecordType]:
    """What may be written in this state, for messages."""
    return [record_type for known, record_type in MOVES if known == state]
