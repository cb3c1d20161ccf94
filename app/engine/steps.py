"""The Steps that decide nothing: rejected, repeated; and where a signal's lateness counts from."""

from app.contract.envelope import ANONYMOUS_PREFIX, NAME_MAX_CHARS, Rejection, Signal
from app.engine.policies import Policies
from app.engine.record import deadletter_output, journal_output, json_text
from app.engine.repeats import Repeat
from app.engine.unit import UnitRows
from app.engine.values import InputRecord, Moment, Output, Step

UNIT_KEY_MAX_BYTES = len(ANONYMOUS_PREFIX) + 4 * NAME_MAX_CHARS


def lateness_base_us(signal: Signal, record: InputRecord, policies: Policies) -> int:
    """Where lateness counts from: the stamp of a trusted edge, else the broker's append time. Never a client's clock."""
    if signal.received_us is None or signal.event.get("source") not in policies.limits.trusted_sources:
        return record.appended_us
    return min(signal.received_us, record.appended_us)


def repeated_step(
    repeat: Repeat,
    signal: Signal,
    record: InputRecord,
    rows: UnitRows,
    policies: Policies,
    moment: Moment,
) -> Step:
    """A repeated id is journalled and changes nothing: it is never decided or counted again."""
    if repeat.conflict is not None:
        return rejected(record, repeat.conflict, policies, moment, signal)
    state_digest = rows.finish()
    return Step((plain_journal("duplicate", signal, record, policies, moment, state_digest),), ())


def rejected(
    record: InputRecord,
    rejection: Rejection,
    policies: Policies,
    moment: Moment,
    signal: Signal | None = None,
    *,
    poison: bool = False,
) -> Step:
    """A journal record and a dead letter. No row is touched, so there is no digest."""
    journal = journal_output(
        record,
        "rejected",
        policies,
        moment,
        None,
        unit=rejection.unit if signal is None else signal.unit,
        event_id=rejection.event_id if signal is None else signal.event_id,
        session_id=None if signal is None else signal.session_id,
        poison=poison,
        more=f'"rejection":{{"code":"{rejection.code}","message":{json_text(rejection.message)}}},',
    )
    # Whatever came as the key is in the dead letter; the journal's has to stay writable.
    key = record.key if record.key is None or len(record.key) <= UNIT_KEY_MAX_BYTES else None
    return Step((journal._replace(key=key), deadletter_output(record, rejection)), ())


def plain_journal(
    status: str,
    signal: Signal,
    record: InputRecord,
    policies: Policies,
    moment: Moment,
    state_digest: str | None,
    more: str = "",
) -> Output:
    """The journal record of a signal that decides nothing."""
    return journal_output(
        record,
        status,
        policies,
        moment,
        state_digest,
        unit=signal.unit,
        event_id=signal.event_id,
        session_id=signal.session_id,
        signal_us=signal.ts_us,
        received_us=signal.received_us,
        base_us=lateness_base_us(signal, record, policies),
        more=more,
    )
