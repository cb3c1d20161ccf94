"""What a partition's units were given, kept to see whether anybody is moved: a variant for each unit and policy.

Memory: one entry a unit and policy of one partition; when it is done, `Travels` keeps those of units that moved away.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from app.checker.governance import Governed
from app.checker.logins import HELD_OUT, arm_of, binds
from app.checker.tally import Tally
from app.checker.travels import ON_THEIR_WAY, Travels

# What the holdout gate says when it did not ask a named holdout.
NOT_ASKED = ("none", "assigned before", "not asked yet")


class Units:
    def __init__(self, partition: int, governed: Governed, tally: Tally, travels: Travels) -> None:
        self._partition = partition
        self._governed = governed
        self._tally = tally
        self._travels = travels
        self._moved_in: set[str] = set()
        self._given: dict[tuple[str, str], tuple[str, int]] = {}
        self._held: dict[str, bool] = {}
        self._seen: set[str] = set()

    def moved(self, unit: str, decision: dict[str, Any]) -> str | None:
        """Takes note of a decision; says how the unit was moved against the law of stickiness, None when it was not."""
        self._note_holdout(unit, decision)
        variant = HELD_OUT if decision["holdout"] else decision["variant"] if decision["assigned"] else None
        if variant is None:
            return None
        policy, version = decision["policy"], decision["rule_version"]
        before = self._given.get((unit, policy)) or self._travels.given(unit, policy)
        if before is None:
            self._tally.assignments[f"{policy}/{variant}"] += 1
            if variant != HELD_OUT and self._governed.draws_anew(policy, version):
                return None  # it binds nobody: neither the next draw nor a later version
        self._given[unit, policy] = (variant, version)
        if before is None or before[0] == variant:
            return None
        if before[0] != HELD_OUT and version > before[1] and self._governed.may_reassign(policy, version):
            return None
        return f"{unit} had {before[0]} of {policy} by version {before[1]}, now {variant} by version {version}"

    def arms(self, unit: str, policies: Iterable[str]) -> dict[str, str]:
        """What the unit was given of these, as far as anything is known."""
        found = {policy: self._given.get((unit, policy)) or self._travels.given(unit, policy) for policy in policies}
        return {policy: given[0] for policy, given in found.items() if given is not None}

    def adopt(self, identity: Mapping[str, Any]) -> None:
        """What a login has settled holds from now on."""
        for entry in identity["settled"]:
            if binds(entry["policy"], entry, self._governed.draws_anew):
                self._given[identity["user"], entry["policy"]] = arm_of(entry), entry["rule_version"]

    def seen(self, unit: str | None, status: str) -> None:
        """A unit counts where it was served first."""
        if unit is not None and status == "moved_in":
            self._moved_in.add(unit)
        elif unit is not None and status not in ON_THEIR_WAY:
            self._seen.add(unit)

    def finish(self) -> None:
        self._tally.units += len(self._seen - self._moved_in)
        asked = {unit: held for unit, held in self._held.items() if not self._travels.was_asked(unit)}
        self._tally.units_asked_for_holdout += len(asked)
        self._tally.held_out += sum(asked.values())
        self._travels.leave(self._partition, self._given, self._held)

    def _note_holdout(self, unit: str, decision: dict[str, Any]) -> None:
        for gate in decision["gates"]:
            if gate["gate"] == "holdout" and gate["why"] not in NOT_ASKED:
                self._held[unit] = self._held.get(unit, False) or not gate["passed"]
