"""One unit's rows while a record is worked on: decoded once on reading, encoded once at the end, digested as stored."""

from app.contract.canonical import state_digest
from app.engine.decision import Decision
from app.engine.rows import Row, decode, encode, timer_key, unit_key
from app.engine.values import ASSIGNMENTS, ELIGIBILITY, TIMERS, State, Write


class UnitRows:
    """The rows as stored, and their changes so far. `facts` and `held` are replaced, never changed in place."""

    __slots__ = ("_assignments", "_eligibility", "_timers", "_writes", "assignments_row", "facts", "key", "unit")

    def __init__(self, unit: str, state: State) -> None:
        self.unit = unit
        self.key = unit_key(unit)
        self._eligibility = state.eligibility.get_bytes(self.key)
        self._assignments = state.assignments.get_bytes(self.key)
        self._timers = state.timers
        self._writes: list[Write] = []
        self.facts: Row | None = None
        self.assignments_row: Row = decode(self._assignments)

    def user(self) -> Row:
        """The eligibility row as it stood before the record."""
        return decode(self._eligibility)

    def assignments(self) -> dict[str, Row]:
        found: dict[str, Row] = self.assignments_row.get("assignments", {})
        return found

    def pending(self) -> dict[str, Row]:
        found: dict[str, Row] = self.assignments_row.get("pending", {})
        return found

    def take(self, decision: Decision, event: Row) -> None:
        """Keep what a decision found out: assignment, holdout, pending timer. event: what a timer set now is about."""
        key, row = decision.policy.key, self.assignments_row
        named = decision.policy.holdout
        if decision.assignment is not None:
            row = _with(row, "assignments", key, decision.assignment)
        if named is not None and decision.held is not None and row.get("holdouts", {}).get(named.name) != decision.held:
            row = _with(row, "holdouts", named.name, decision.held)
        if decision.pending is not row.get("pending", {}).get(key):
            row = _with(row, "pending", key, decision.pending)
        self.assignments_row = row
        for timer in decision.timers_set:
            value = encode({"unit": self.unit, "policy": key, "event": event, **timer._asdict()})
            self._writes.append(Write(TIMERS, timer_key(timer.due_us, timer.timer_id), value))
        for timer in decision.timers_cancelled:
            self.drop_timer(timer.due_us, timer.timer_id)

    def awaited_event(self, pending: Row) -> Row:
        """The event that set the pending timer: it tells in which context a delayed treatment was triggered."""
        row = decode(self._timers.get_bytes(timer_key(pending["due_us"], pending["timer_id"])))
        event: Row = row["event"]
        return event

    def drop_timer(self, due_us: int, timer_id: str) -> None:
        self._writes.append(Write(TIMERS, timer_key(due_us, timer_id), None))

    def drop_pending(self, policy: str) -> None:
        self.assignments_row = _with(self.assignments_row, "pending", policy, None)

    def set_exposed(self, policy: str, exposed_us: int) -> None:
        """An assignment is exposed once; what it was served with is then of no more use."""
        assignment = {**self.assignments()[policy], "exposed_us": exposed_us, "served": None}
        self.assignments_row = _with(self.assignments_row, "assignments", policy, assignment)

    def finish(self) -> tuple[str, tuple[Write, ...]]:
        """(state_digest of the rows as they will be stored, the writes that store them). Unchanged rows are not written."""
        writes = self._writes
        eligibility = self._eligibility or b""
        if self.facts is not None:
            eligibility = encode(self.facts)
            writes.append(Write(ELIGIBILITY, self.key, eligibility))
        assignments = encode(self.assignments_row) if self.assignments_row else b""
        if assignments != (self._assignments or b""):
            writes.append(Write(ASSIGNMENTS, self.key, assignments))
        return state_digest(eligibility, assignments), tuple(writes)


def _with(row: Row, part: str, name: str, value: object) -> Row:
    """The row with `name` of `part` set, or taken away when the value is None."""
    changed = dict(row.get(part, ()))
    if value is None:
        changed.pop(name, None)
    else:
        changed[name] = value
    return {**row, part: changed}
