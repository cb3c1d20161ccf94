"""One unit while a record is worked on: its rows decoded once, changed in place, encoded once and digested as stored.

The rows are decoded from bytes for this record alone, so changing them in place is seen by nobody else.
"""

from app.contract.canonical import state_digest
from app.engine.rows import Row, decode, encode, timer_key, unit_key
from app.engine.values import ASSIGNMENTS, ELIGIBILITY, TIMERS, Output, State, Write


class UnitRows:
    """Rows and effects so far. `user` is the eligibility row as it stood before the record, until `set_facts`."""

    __slots__ = (
        "_assignments_bytes", "_changed", "_eligibility_bytes", "_row", "_timers", "assignments", "exposures", "facts",
        "holdouts", "identity", "key", "outputs", "pending", "unit", "writes",
    )  # fmt: skip

    def __init__(self, unit: str, state: State) -> None:
        self.unit = unit
        self.key = key = unit_key(unit)
        self._timers = state.timers
        self._eligibility_bytes = state.eligibility.get_bytes(key)
        self._assignments_bytes = state.assignments.get_bytes(key)
        row = decode(self._assignments_bytes)
        self._row = row
        self.assignments: dict[str, Row] = row.get("assignments", {})
        self.holdouts: dict[str, bool] = row.get("holdouts", {})
        self.pending: dict[str, Row] = row.get("pending", {})
        self.identity: Row | None = row.get("identity")
        self.facts: Row | None = None
        self._changed = False
        self.outputs: list[Output] = []
        self.exposures: list[str] = []
        self.writes: list[Write] = []

    def user(self) -> Row:
        """The eligibility row as it stands before the record, decoded anew at each call."""
        return decode(self._eligibility_bytes)

    def hold(self, name: str, held: bool) -> None:
        """What was found of a named holdout: found once, kept for good."""
        if name not in self.holdouts:
            self.holdouts[name] = held
            self._changed = True

    def assign(self, policy: str, assignment: Row) -> None:
        self.assignments[policy] = assignment
        self._changed = True

    def know(self, identity: Row) -> None:
        """What login has told: app/engine/identity has its fields."""
        self.identity = identity
        self._changed = True

    def take_over(self, assignments: dict[str, Row], holdouts: dict[str, bool]) -> None:
        """In place of what the unit had: an empty one has given all away."""
        self.assignments, self.holdouts = assignments, holdouts
        self._changed = True

    def serve(self, assignment: Row, served: Row) -> None:
        assignment["served"] = served
        self._changed = True

    def expose(self, assignment: Row, exposed_us: int, exposure_id: str, exposure: Output) -> None:
        """An assignment is exposed once; what it was served with is then of no more use."""
        assignment["exposed_us"], assignment["served"] = exposed_us, None
        self._changed = True
        self.exposures.append(exposure_id)
        self.outputs.append(exposure)

    def set_timer(self, policy: str, waiting: Row, event: Row) -> None:
        """`event` is what triggered the delayed treatment: its conditions are asked again when the timer fires."""
        self.pending[policy] = waiting
        self._changed = True
        value = {name: waiting[name] for name in ("timer_id", "due_us", "decision_id")}
        value |= {"unit": self.unit, "policy": policy, "event": event}
        self.writes.append(Write(TIMERS, timer_key(waiting["due_us"], waiting["timer_id"]), encode(value)))

    def awaited_event(self, pending: Row) -> Row:
        """The event that set the pending timer: it tells in which context a delayed treatment was triggered."""
        row = decode(self._timers.get_bytes(timer_key(pending["due_us"], pending["timer_id"])))
        event: Row = row["event"]
        return event

    def drop_timer(self, due_us: int, timer_id: str) -> None:
        self.writes.append(Write(TIMERS, timer_key(due_us, timer_id), None))

    def drop_pending(self, policy: str) -> None:
        del self.pending[policy]
        self._changed = True

    def finish(self) -> str:
        """Adds the writes that store what changed. The state_digest of the rows as they will be stored."""
        eligibility, assignments = self._eligibility_bytes or b"", self._assignments_bytes or b""
        if self.facts is not None:
            eligibility = encode(self.facts)
            self.writes.append(Write(ELIGIBILITY, self.key, eligibility))
        if self._changed:
            row = self._row
            row["assignments"], row["holdouts"], row["pending"] = self.assignments, self.holdouts, self.pending
            if self.identity is not None:
                row["identity"] = self.identity
            assignments = encode(row)
            self.writes.append(Write(ASSIGNMENTS, self.key, assignments))
        return state_digest(eligibility, assignments)
