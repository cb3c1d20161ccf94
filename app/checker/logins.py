"""What logins carry from an anonymous unit to its user, followed over all partitions and judged by rules written a second time.

Owns the sums that must come out even: what a device gave is what its user was brought, a timer that left waits or was dropped
there, an assignment that was carried over is exposed in one partition alone. Owns what one settlement may say. Refuses to know
which policy names which holdout: held out it may be whoever is in any named holdout on either side.

Memory: an entry for each assignment that was ever carried over.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from app.checker.arrivals import Rows
from app.checker.report import Kind
from app.checker.tally import Tally

JOURNAL = "decisions"
HELD_OUT = "(held out)"

Arms = dict[str, tuple[str, str]]  # policy -> (assignment id, arm)


def arm_of(entry: Mapping[str, Any]) -> str:
    return HELD_OUT if entry["holdout"] else str(entry["variant"])


# Whether a version of a policy draws for each decision: (policy, rule version) -> yes or no.
DrawsAnew = Callable[[str, int], bool]


def binds(policy: str, entry: Mapping[str, Any], draws_anew: DrawsAnew) -> bool:
    """Whether whoever has this assignment must keep it: not what was drawn for a single decision."""
    return bool(entry["holdout"]) or not draws_anew(policy, entry["rule_version"])


class Brought:
    """The content of an adopt link: what the device was given. binding: the arms of it that its user must keep."""

    def __init__(self, rows: Rows, draws_anew: DrawsAnew) -> None:
        row = orjson.loads(rows.assignments) if rows.assignments else {}
        given = row.get("assignments", {})
        self.arms: Arms = {key: (entry["assignment_id"], arm_of(entry)) for key, entry in given.items()}
        self.binding = {key: arm_of(entry) for key, entry in given.items() if binds(key, entry, draws_anew)}
        self.any_held = any(row.get("holdouts", {}).values())


class Logins:
    """Shared by all partitions."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._carried: dict[tuple[str, str], tuple[Arms, int]] = {}  # (device, user) -> what only one side has told yet
        self._timers: Counter[str] = Counter()
        self._exposed: dict[str, int] = {}  # exposure id -> the partition that has it

    def gave(self, identity: Mapping[str, Any], partition: int, offset: int) -> None:
        """By the device's journal record."""
        arms = {entry["policy"]: (entry["assignment_id"], arm_of(entry)) for entry in identity["given"]}
        self._timers.update(identity["timers"])
        self._even(identity["anonymous"], identity["linked_to"], arms, partition, offset)

    def brought(self, identity: Mapping[str, Any], content: Brought, partition: int, offset: int) -> None:
        """By the link that the user's partition read."""
        self._timers.subtract([timer["timer_id"] for timer in identity["timers_set"]])
        self._timers.subtract(identity["timers_dropped"])
        self._even(identity["anonymous"], identity["user"], content.arms, partition, offset)

    def settled(
        self,
        identity: Mapping[str, Any],
        content: Brought,
        own: Mapping[str, str],
        draws_anew: DrawsAnew,
        partition: int,
        offset: int,
    ) -> None:
        """own: the arms that bound the user before, by policy."""
        said = {entry["policy"]: entry for entry in identity["settled"]}
        held = content.any_held or any(identity["holdouts"].values())
        for policy in said.keys() | content.arms.keys():
            entry = said.get(policy)
            mine, theirs = own.get(policy), content.binding.get(policy)
            if entry is None or binds(policy, entry, draws_anew):
                found = _misjudged(entry, mine, theirs, held)
            else:
                found = None if mine is theirs is None else "rerolled"
            if found is not None:
                before = f"{identity['user']} had {mine} of {policy}, {identity['anonymous']} brought {theirs}"
                self._tally.note(found, JOURNAL, partition, offset, f"{before}: {_told(entry)}")
            self._tally.logins[entry["verdict"] if entry is not None else "unsaid"] += 1

    def exposed(self, exposures: Iterable[str], partition: int) -> None:
        """Of assignments that were carried over, those that a partition has counted."""
        for name in exposures:
            before = self._exposed.setdefault(name, partition)
            if before != partition:
                what = f"exposure {name} is counted in partition {before} too: before a login and after it"
                self._tally.note("exposure_duplicated", JOURNAL, partition, -1, what)

    def finish(self, *, live: bool) -> None:
        """live: what is under way may still arrive."""
        for (device, user), (arms, partition) in () if live else self._carried.items():
            what = f"what {device} had and what {user} was brought differ: {arms}"
            self._tally.note("adoption_wrong", JOURNAL, partition, -1, what)
        for timer, count in self._timers.items():
            if count < 0 or (count > 0 and not live):
                kind: Kind = "timer_lost" if count > 0 else "timer_duplicated"
                what = f"timer {timer} left a device {count} times more than it came to its user"
                self._tally.note(kind, JOURNAL, -1, -1, what)

    def _even(self, device: str, user: str, arms: Arms, partition: int, offset: int) -> None:
        """Both sides tell the same once, in either order; then it is forgotten."""
        if not arms:
            return
        before = self._carried.pop((device, user), None)
        if before is None:
            self._carried[device, user] = arms, partition
        elif before[0] != arms:
            what = f"{device} gave {user} {before[0]} in partition {before[1]}, here it is {arms}"
            self._tally.note("adoption_wrong", JOURNAL, partition, offset, what)


def _misjudged(entry: Mapping[str, Any] | None, mine: str | None, theirs: str | None, held: bool) -> Kind | None:
    """The kind of finding; None when the settlement is right."""
    conflict = mine is not None and theirs is not None and mine != theirs
    arms = conflict and HELD_OUT not in (mine, theirs)
    if entry is None:
        return "crossover_hidden" if arms else None if theirs is None else "adoption_wrong"
    kept = arm_of(entry)
    if kept == HELD_OUT and entry["verdict"] == "held_out":
        return None if held or HELD_OUT in (mine, theirs) else "rerolled"
    if kept != (theirs if mine is None else mine):
        return "rerolled"
    if arms:
        return None if entry["verdict"] == "crossover" else "crossover_hidden"
    expected = "adopted" if mine is None else "agreed"
    return None if entry["verdict"] == expected and not conflict else "adoption_wrong"


def _told(entry: Mapping[str, Any] | None) -> str:
    return "the journal says nothing" if entry is None else f"{entry['verdict']}, {arm_of(entry)}"
