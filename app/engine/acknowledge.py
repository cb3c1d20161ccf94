"""acknowledge: the Step of a render acknowledgement. The same code for every arm, the control included."""

from app.contract.envelope import Signal
from app.engine.exposures import acknowledged_exposure, mismatch
from app.engine.policies import Policies
from app.engine.repeats import content_digest, repetition, seen_write
from app.engine.steps import plain_journal, rejected, repeated_step
from app.engine.unit import UnitRows
from app.engine.values import InputRecord, Moment, State, Step


def acknowledge(signal: Signal, record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """An exposure when the acknowledgement matches the recorded assignment; counted once for each assignment."""
    rows = UnitRows(signal.unit, state)
    digest = content_digest(signal)
    repeated = repetition(signal, record, state, policies, digest)
    if repeated is not None:
        return repeated_step(repeated, signal, record, rows, policies, moment)
    key = signal.event["experiment"]["key"]
    assignment = rows.assignments().get(key)
    refused = mismatch(signal, assignment)
    if refused is not None:
        return rejected(record, refused, policies, moment, signal)
    assert assignment is not None
    seen = seen_write(signal, record, policies, digest)
    if assignment["exposed_us"] is not None:
        state_digest, _ = rows.finish()
        return Step((plain_journal("duplicate", signal, record, policies, moment, state_digest),), (seen,))
    made_id, exposure = acknowledged_exposure(signal, assignment)
    rows.set_exposed(key, record.appended_us)
    state_digest, writes = rows.finish()
    journal = plain_journal("exposed", signal, record, policies, moment, state_digest, exposures=[made_id])
    return Step((journal, exposure), (seen, *writes))
