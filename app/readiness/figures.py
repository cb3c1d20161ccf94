"""What readiness is judged by: counts of one installation. Refuses to judge."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Rehearsal = Literal["shadow", "A/A"]


class Budgeted(NamedTuple):
    """Decisions of one event type, and the share of them within its budget."""

    event: str
    decisions: int
    within: float


@dataclass
class Rehearsed:
    """A policy in shadow or A/A. By arm: units that it drew, and those of whom an exposure came back."""

    policy: str
    kind: Rehearsal
    weights: Mapping[str, float]
    assigned: dict[str, int] = field(default_factory=dict)
    exposed: dict[str, int] = field(default_factory=dict)


@dataclass
class Figures:
    """signals: journalled ones, the rejected and repeated among them. rejected: by code.

    devices: anonymous ids that were identified; shared_devices: those of several users. since_us: only what was appended later.
    unseen: topics that the brokers show this user nothing of.
    """

    since_us: int
    unseen: tuple[str, ...] = ()
    signals: int = 0
    duplicates: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    devices: int = 0
    shared_devices: int = 0
    budgeted: list[Budgeted] = field(default_factory=list)
    rehearsed: list[Rehearsed] = field(default_factory=list)
