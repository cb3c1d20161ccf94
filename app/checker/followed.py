"""What the rows of a partition's units must say, followed along its journal: an assignment for each that was decided, once
exposed when an exposure was, the timers that wait, the ids that came.

Memory: a small entry for each unit and policy, a number for each record, and the ids of the last window; one partition's.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from app.checker import ids
from app.checker.arrivals import Rows
from app.checker.times import DAY_US, microseconds

# Of records that expose nothing: those statuses that are neither a refusal nor a repetition.
SILENT = frozenset({"linked", "no_match", "delivered"})
# Ids stay a day past their window; what is older may be gone.
KEPT_US = 2 * DAY_US


class Given(NamedTuple):
    """An assignment as the journal tells it. made_for: the device that brought it; None: its unit."""

    assignment_id: str
    rule_version: int
    phase: int
    variant: str | None
    holdout: bool
    exposed: bool
    made_for: str | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Given":
        """As a stored row has it."""
        return cls.told({**entry, "exposed": entry["exposed_us"] is not None}, entry.get("made_for"))

    @classmethod
    def told(cls, entry: Mapping[str, Any], made_for: str | None) -> "Given":
        """As a journal record of a login has it."""
        return cls(**{field: entry[field] for field in cls._fields[:-1]}, made_for=made_for)


class Unit:
    __slots__ = ("digest", "former", "given", "pending", "user")

    def __init__(self) -> None:
        self.given: dict[str, Given] = {}
        self.pending: dict[str, str] = {}  # policy -> the timer that waits
        self.digest: str | None = None
        self.former: set[str] = set()
        self.user: str | None = None  # of a device: whose it has become


class Followed:
    """units: by name; seen: keys of the ids that must be stored, and their append time; complete: nothing is missing before."""

    def __init__(self, *, complete: bool) -> None:
        self.complete = complete
        self.units: dict[str, Unit] = {}
        self.seen: dict[bytes, int] = {}
        self.latest_us = 0
        self.left: set[bytes] = set()  # units that went to another partition; ids that no longer counted may have stayed
        self.carried: set[str] = set()  # ids of assignments that a login took from here, or brought
        self._order: deque[tuple[int, bytes]] = deque()

    def leave(self, name: str) -> list[str]:
        """The unit moves away with all its rows; the timers that it waits for."""
        unit = self.units.setdefault(name, Unit())
        timers = list(unit.pending.values())
        unit.given, unit.pending, unit.user = {}, {}, None
        self.left.add(name.encode())
        return timers

    def arrive(self, name: str, rows: Rows) -> None:
        unit = self.units.setdefault(name, Unit())
        row = orjson.loads(rows.assignments) if rows.assignments else {}
        unit.given = {policy: Given.of(entry) for policy, entry in row.get("assignments", {}).items()}
        unit.user = row.get("identity", {}).get("user")
        self.carried |= {given.assignment_id for given in unit.given.values() if given.made_for is not None}
        unit.pending = {policy: pending["timer_id"] for policy, pending in row.get("pending", {}).items()}
        for key, appended_us in rows.seen.items():
            self._file(key, appended_us)

    def take(self, body: Mapping[str, Any]) -> None:
        if body["unit"] is None:
            return
        unit = self.units.setdefault(body["unit"], Unit())
        self._note_digest(unit, body["state_digest"])
        exposures = set(body.get("exposures", ()))
        if body["status"] == "fired":
            unit.pending = {policy: timer for policy, timer in unit.pending.items() if timer != body["timer_id"]}
        for decision in body["decisions"]:
            self._take_decision(unit, decision)
        for policy, given in unit.given.items() if exposures else ():
            if ids.exposure_id(given.assignment_id) in exposures:
                unit.given[policy] = given._replace(exposed=True)
        # A record that was neither refused nor a repetition says what it exposed, and its id is filed.
        if body["input"]["event_id"] is not None and ("exposures" in body or body["status"] in SILENT):
            self._note_seen(body)

    def give(self, name: str, identity: Mapping[str, Any]) -> bool:
        """Whether the device gives all that it has: the first time that somebody is linked with it."""
        unit = self.units.setdefault(name, Unit())
        if unit.user is not None:
            return False
        self.carried |= {given.assignment_id for given in unit.given.values()}
        unit.user, unit.given, unit.pending = identity["linked_to"], {}, {}
        return True

    def adopt(self, name: str, identity: Mapping[str, Any], brought: Mapping[str, str]) -> None:
        """brought: ids of the device's assignments, by policy."""
        unit = self.units.setdefault(name, Unit())
        for entry in identity["settled"]:
            policy, kept_id = entry["policy"], entry["assignment_id"]
            before = unit.given.get(policy)
            made_for = None if before is None or before.assignment_id != kept_id else before.made_for
            made_for = identity["anonymous"] if brought.get(policy) == kept_id else made_for
            unit.given[policy] = Given.told(entry, made_for)
            self.carried |= {kept_id} if made_for is not None else set()
        for timer in identity["timers_set"]:
            unit.pending[timer["policy"]] = timer["timer_id"]

    def made_for(self, name: str, policy: str, assignment_id: str) -> str:
        """The unit that an assignment of `name` was made for."""
        unit = self.units.get(name)
        given = None if unit is None else unit.given.get(policy)
        return name if given is None or given.assignment_id != assignment_id else given.made_for or name

    def _take_decision(self, unit: Unit, decision: Mapping[str, Any]) -> None:
        policy = decision["policy"]
        if decision["assignment_id"] is not None:
            before = unit.given.get(policy)
            same = before is not None and before.assignment_id == decision["assignment_id"]
            unit.given[policy] = Given(
                decision["assignment_id"],
                decision["rule_version"],
                decision["phase"],
                decision["variant"],
                decision["holdout"],
                same and before is not None and before.exposed,
                before.made_for if same and before is not None else None,
            )
        if unit.pending.get(policy) in decision["timers_cancelled"]:
            del unit.pending[policy]
        for timer in decision["timers_set"]:
            unit.pending[policy] = timer["timer_id"]

    def _note_digest(self, unit: Unit, digest: str | None) -> None:
        if digest is not None and digest != unit.digest:
            if unit.digest is not None:
                unit.former.add(unit.digest)
            unit.digest = digest

    def _note_seen(self, body: Mapping[str, Any]) -> None:
        appended_us = microseconds(body["latency"]["appended_ts"])
        self._file(ids.seen_key(appended_us // DAY_US, body["unit"], body["input"]["event_id"]), appended_us)

    def _file(self, key: bytes, appended_us: int) -> None:
        self.latest_us = max(self.latest_us, appended_us)
        self.seen[key] = appended_us
        self._order.append((appended_us, key))
        while self._order[0][0] < self.latest_us - KEPT_US:
            self.seen.pop(self._order.popleft()[1], None)
