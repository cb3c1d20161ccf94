"""What people do to policies while everything fails: the next legal moves, chosen by chance from the state of the log.

What is paused is resumed and what is killed is replaced, each at the next turn of its policy, so that there is always
something to treat.
"""

import random
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from app.chaos.policies import LATER, NUDGE, SWAP, TIPS
from app.governance import drafts
from app.governance.drafts import Drafter
from app.governance.state import PolicyLog, State

MOVED = (NUDGE, TIPS, LATER, SWAP)
RAMPS = ([250, 500, 1000], [400, 700, 1000], [600, 1000])
WEIGHTS = (0.3, 0.5, 0.7)

Who = Literal["ann", "bob"]


class Move(NamedTuple):
    """writes: the records in order, each with who writes it."""

    name: str
    policy: str
    writes: list[tuple[Who, Drafter]]


def next_move(state: State, chance: random.Random) -> Move:
    """A move that is legal in `state`."""
    log = state.policies[chance.choice(MOVED)]
    now = "active" if log.current is None else log.current.state
    name = chance.choice([name for name in NEXT[now] if name in possible(log)])
    return Move(name, log.key, WRITES[name](log, chance))


def possible(log: PolicyLog) -> set[str]:
    """Of the table's moves, those that this policy has something for."""
    found = {"pause", "resume", "kill", "new version"}
    if _next_step(log) is not None:
        found.add("ramp")
    if _superseded(log):
        found.add("roll back")
    return found


# By the state of the version in force.
NEXT: dict[str, tuple[str, ...]] = {
    "active": ("pause", "ramp", "kill", "new version", "roll back"),
    "paused": ("resume", "resume", "kill"),
    "killed": ("new version", "roll back"),
}


def _new_version(log: PolicyLog, chance: random.Random) -> list[tuple[Who, Drafter]]:
    """Other weights and another ramp: nobody who was assigned before may move by them."""
    ramp, weight = chance.choice(RAMPS), chance.choice(WEIGHTS)
    body = dict(log.versions[log.newest].body)
    variants: list[dict[str, Any]] = [dict(variant) for variant in body["variants"]]
    variants[0]["weight"], variants[1]["weight"] = weight, round(1 - weight, 1)
    body |= {"variants": variants, "ramp": ramp, "coverage_permille": ramp[0]}
    version = log.newest + 1
    return [
        ("ann", drafts.propose(body)),
        ("bob", drafts.approve(log.key, version)),
        ("ann", drafts.activate(log.key, version)),
    ]


def _next_step(log: PolicyLog) -> int | None:
    current = log.current
    steps = () if current is None else [step for step in current.policy.ramp if step > log.coverage_permille]
    return min(steps, default=None)


def _superseded(log: PolicyLog) -> list[int]:
    return [version.number for version in log.versions.values() if version.state == "superseded"]


WRITES: dict[str, Callable[[PolicyLog, random.Random], list[tuple[Who, Drafter]]]] = {
    "pause": lambda log, _: [("ann", drafts.pause(log.key))],
    "resume": lambda log, _: [("ann", drafts.resume(log.key))],
    "kill": lambda log, _: [("ann", drafts.kill(log.key))],
    "ramp": lambda log, _: [("ann", drafts.ramp(log.key, _next_step(log) or 0))],
    "roll back": lambda log, chance: [("ann", drafts.roll_back(log.key, chance.choice(_superseded(log))))],
    "new version": _new_version,
}
