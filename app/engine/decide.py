"""decide: the one function that everything else serves. A signal, the unit's state, the policies, a moment -> a Step.

The way of one record: admitted (or rejected) -> seen before? -> every policy that it triggers, gate by gate -> outcomes that it
is -> facts -> one Step: the journal record, what follows from it, and the rows to store.
"""

from collections.abc import Iterator

from app.contract.envelope import Rejection, Signal
from app.contract.topics import FLAG_EVENT
from app.engine.decision import decide_policy
from app.engine.gates import INTENT, TRIGGERED, Occasion
from app.engine.identity.known import user_of
from app.engine.identity.meet import meet
from app.engine.identity.onward import sent_on
from app.engine.outcomes import outcome_output
from app.engine.policies import CompiledPolicy, Policies
from app.engine.record import Json, ids_field, journal_output
from app.engine.repeats import Repeat, look_up
from app.engine.rows import MAX_MILESTONES, Row, add_signal, session_of
from app.engine.steps import lateness_base_us, rejected, repeated_step
from app.engine.unit import UnitRows
from app.engine.values import InputRecord, Moment, State, Step


def decide(signal: Signal, record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """The Step of an admitted signal that carries no acknowledgement. Pure: same arguments, same bytes."""
    rows = UnitRows(signal.unit, state)
    seen = look_up(signal, record, state, policies)
    if isinstance(seen, Repeat):
        return repeated_step(seen, signal, record, rows, policies, moment)
    owner = user_of(rows)
    if owner is not None:
        return sent_on(signal, owner, record, policies, moment)
    user = rows.user()
    if signal.event_name == "activation_milestone" and _is_full(user, signal):
        full = Rejection("too_many_milestones", f"the unit has {MAX_MILESTONES} milestones; name them by kind, not by instance")
        return rejected(record, full, policies, moment, signal)
    identity_pending, asking = (
        meet(signal, rows, record, policies, moment) if signal.event.get("anonymous_id") is not None else (False, None)
    )
    base_us = lateness_base_us(signal, record, policies)
    # Before the decisions: an outcome follows an assignment, it is never one with it.
    outcome = outcome_output(signal, rows.assignments, policies, base_us) if rows.assignments else None
    occasion = Occasion(
        record.topic,
        record.partition,
        record.offset,
        signal.unit,
        {"event": signal.event, "context": signal.context, "user": user, "session": session_of(user, signal)},
        record.appended_us,
        base_us,
        signal.ts_us,
        moment.now_us,
        moment.governance_stale,
        policies.limits.commit_allowance_us,
        identity_pending,
    )
    decisions = []
    for policy, waited in _set_off(signal, rows, policies):
        if waited is None:
            decisions.append(decide_policy(policy, occasion, rows, TRIGGERED))
        else:
            after = after_waiting(occasion, rows.awaited_event(waited))
            decisions.append(decide_policy(policy, after, rows, INTENT))
    add_signal(user, signal, record.appended_us)
    rows.facts = user
    state_digest = rows.finish()
    journal = journal_output(
        record,
        "decided" if decisions else "no_match" if outcome is None else "outcome",
        policies,
        moment,
        state_digest,
        unit=signal.unit,
        event_id=signal.event_id,
        session_id=signal.session_id,
        signal_us=signal.ts_us,
        received_us=signal.received_us,
        base_us=base_us,
        budget_ms=policies.budgets_ms.get(signal.event_name),
        decisions=",".join(decisions),
        more=ids_field("exposures", rows.exposures)
        + ids_field("outcomes", () if outcome is None else (outcome[0],))
        + ("" if asking is None else asking.field),
    )
    if outcome is not None:
        rows.outputs.append(outcome[1])
    if asking is not None:
        rows.outputs += asking.outputs
    rows.writes.append(seen)
    return Step((journal, *rows.outputs), tuple(rows.writes))


def _is_full(user: Row, signal: Signal) -> bool:
    """A unit's row is bounded: one milestone too many is rejected, a known one never."""
    milestones = user.get("milestones", ())
    return len(milestones) >= MAX_MILESTONES and signal.properties["name"] not in milestones


def _set_off(signal: Signal, rows: UnitRows, policies: Policies) -> Iterator[tuple[CompiledPolicy, Row | None]]:
    """The policies that the signal sets off: those that waited for it (with what waited), then those that it triggers."""
    awaited = set()
    for key, pending in list(rows.pending.items()):
        policy = policies.by_key.get(key)
        if policy is None or pending["kind"] != "wait":
            continue
        rule = policy.timings.get((pending["rule_version"], pending["variant"]))
        if rule is not None and rule.awaits(signal.event_name, signal.event):
            awaited.add(key)
            yield policy, pending
    flag = signal.properties.get("flag") if signal.event_name == FLAG_EVENT else None
    for policy in policies.by_event.get(signal.event_name, ()):
        # Who asks for one flag has not asked for the others: deciding them too would assign, or even expose, unasked.
        if policy.key not in awaited and flag in (None, policy.key):
            yield policy, None


def after_waiting(occasion: Occasion, event: Json) -> Occasion:
    """The occasion as conditions must see it after a wait: the event and context that triggered, the user as it is now."""
    attributes = {**occasion.attributes, "event": event, "context": event.get("context") or {}}
    return occasion._replace(attributes=attributes)
