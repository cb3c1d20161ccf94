"""deliver: the Step of a record that says what the edge really served, and when.

A decision that was served notes on its assignment when it became visible and when it was delivered, for the exposure that may
follow. What was a fallback, nothing at all, or a decision that has been replaced since, is journalled and changes no row.
"""

from typing import Any

from app.contract.envelope import Signal
from app.contract.times import parse_us
from app.engine.identity.known import aside, user_of
from app.engine.identity.onward import sent_on
from app.engine.policies import Policies
from app.engine.repeats import Repeat, look_up
from app.engine.rows import Row
from app.engine.steps import plain_journal, repeated_step
from app.engine.unit import UnitRows
from app.engine.values import InputRecord, Moment, State, Step


def deliver(signal: Signal, record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """The journal record, with the decision's id; where that decision is what the unit was last served, its times too."""
    rows = UnitRows(signal.unit, state)
    seen = look_up(signal, record, state, policies)
    if isinstance(seen, Repeat):
        return repeated_step(seen, signal, record, rows, policies, moment)
    owner = user_of(rows)
    if owner is not None:
        return sent_on(signal, owner, record, policies, moment)
    said = signal.properties
    assignment = _served_by(said, rows)
    if assignment is not None:
        times = {"visible_us": _us(said.get("visible_ts")), "delivered_us": _us(said.get("delivered_ts"))}
        rows.serve(assignment, {**assignment["served"], **times})
    digest = rows.finish()
    journal = plain_journal("delivered", signal, record, policies, moment, digest)
    return Step((journal, *rows.outputs), (*rows.writes, seen))


def _served_by(said: dict[str, Any], rows: UnitRows) -> Row | None:
    """The assignment that this decision served and that nobody has acknowledged yet."""
    policy, assignment_id = said.get("policy"), said.get("assignment_id")
    if said["served"] != "variant" or not isinstance(policy, str) or not isinstance(assignment_id, str):
        return None
    found = aside(rows, policy, assignment_id) or rows.assignments.get(policy)
    if found is None or found["served"] is None or found["served"]["decision_id"] != said.get("decision_id"):
        return None
    return found


def _us(text: str | None) -> int | None:
    return None if text is None else parse_us(text)
