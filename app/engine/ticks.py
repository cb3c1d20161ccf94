"""fire: what a tick sets off. Time comes in as a record, so timers replay: due times compare with the tick's append time."""

from collections.abc import Iterator

from app.contract.times import format_us
from app.engine.decision import decide_policy
from app.engine.gates import DUE, Occasion
from app.engine.policies import Policies
from app.engine.record import ids_field, journal_output
from app.engine.repeats import expires_us
from app.engine.rows import DAY_US, Row, decode, seen_before, timers_until
from app.engine.unit import UnitRows
from app.engine.values import SEEN, InputRecord, Moment, State, Step, Write


def fire(record: InputRecord, state: State, policies: Policies, moment: Moment) -> Iterator[Step]:
    """One Step for each timer that is due, at most `timers_per_tick`; the next tick fires the rest.

    Each Step must be stored before the next is asked for: two timers may be of one unit.
    """
    limit = policies.catalogue.bounds.timers_per_tick
    due = state.timers.scan(*timers_until(record.appended_us), limit)
    for _, value in due:
        yield _fire_one(decode(value), record, state, policies, moment)
    expired = _expired_ids(record, state, policies)
    if expired:
        yield Step((), expired)


def _fire_one(timer: Row, record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """Kill, pause, holdout and eligibility are asked again; a policy that is gone decides nothing."""
    rows = UnitRows(timer["unit"], state)
    rows.drop_timer(timer["due_us"], timer["timer_id"])
    pending = rows.pending.get(timer["policy"])
    policy = policies.by_key.get(timer["policy"])
    decision = ""
    if policy is not None and pending is not None:
        user, event = rows.user(), timer["event"]
        occasion = Occasion(
            record.topic,
            record.partition,
            record.offset,
            timer["unit"],
            {"event": event, "context": event.get("context") or {}, "user": user, "session": user.get("session", {})},
            record.appended_us,
            record.appended_us,
            None,
            moment.now_us,
            moment.governance_stale,
            policies.limits.commit_allowance_us,
        )
        decision = decide_policy(policy, occasion, rows, DUE)
    elif pending is not None:
        rows.drop_pending(timer["policy"])
    state_digest = rows.finish()
    journal = journal_output(
        record,
        "fired",
        policies,
        moment,
        state_digest,
        unit=timer["unit"],
        event_id=None,
        budget_ms=None if policy is None else policy.budget_ms,
        decisions=decision,
        more=f'{ids_field("exposures", rows.exposures)}"timer_id":"{timer["timer_id"]}",'
        f'"due_ts":"{format_us(timer["due_us"])}","set_by_decision_id":"{timer["decision_id"]}",',
    )
    return Step((journal, *rows.outputs), tuple(rows.writes))


def _expired_ids(record: InputRecord, state: State, policies: Policies) -> tuple[Write, ...]:
    """Ids whose window is over for a day, oldest first. Deleting them changes no decision: look_up asks the time itself.

    The day is for a topic that lags: its records ask for ids by their own append time, and a tick that fires nothing has no
    journal record by which a replay could tell what had been deleted.
    """
    limit = policies.catalogue.bounds.seen_expired_per_tick
    over_us = record.appended_us - DAY_US
    rows = state.seen.scan(*seen_before(over_us - policies.limits.dedup_window_us), limit)
    return tuple(Write(SEEN, key, None) for key, row in rows if expires_us(row) <= over_us)
