"""acknowledge: the Step of a render acknowledgement. The same code for every arm, the control included."""

from app.contract.envelope import Signal
from app.engine.exposures import UNKNOWN_ASSIGNMENT, acknowledged_exposure, mismatch
from app.engine.identity.known import aside, user_of
from app.engine.identity.onward import sent_on, shown_before_login
from app.engine.policies import Policies
from app.engine.record import ids_field
from app.engine.repeats import Repeat, look_up
from app.engine.steps import plain_journal, rejected, repeated_step
from app.engine.unit import UnitRows
from app.engine.values import InputRecord, Moment, State, Step


def acknowledge(signal: Signal, record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """An exposure when the acknowledgement matches the recorded assignment; counted once for each assignment."""
    rows = UnitRows(signal.unit, state)
    seen = look_up(signal, record, state, policies)
    if isinstance(seen, Repeat):
        return repeated_step(seen, signal, record, rows, policies, moment)
    owner = user_of(rows)
    if owner is not None:
        return sent_on(signal, owner, record, policies, moment)
    said = signal.event["experiment"]
    assignment = aside(rows, said["key"], said["assignment_id"]) or rows.assignments.get(said["key"])
    refused = mismatch(signal, assignment)
    if refused is not None:
        device = shown_before_login(signal, rows, record) if refused.code == UNKNOWN_ASSIGNMENT else None
        if device is not None:
            return sent_on(signal, device, record, policies, moment)
        return rejected(record, refused, policies, moment, signal)
    assert assignment is not None
    status = "duplicate"
    if assignment["exposed_us"] is None:
        status = "exposed"
        rows.expose(assignment, record.appended_us, *acknowledged_exposure(signal, assignment))
    state_digest = rows.finish()
    more = ids_field("exposures", rows.exposures)
    journal = plain_journal(status, signal, record, policies, moment, state_digest, more=more)
    rows.writes.append(seen)
    return Step((journal, *rows.outputs), tuple(rows.writes))
