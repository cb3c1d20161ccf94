"""adopt: a user takes over what an anonymous unit was given. The Step at the user's partition."""

from app.contract.envelope import ANONYMOUS_PREFIX
from app.contract.links import Adopt
from app.contract.times import format_us
from app.engine.identity.known import note_known, set_aside
from app.engine.identity.settle import Given, Settled, settle
from app.engine.policies import Policies
from app.engine.record import Json, journal_output, json_field
from app.engine.rows import Row, decode
from app.engine.unit import UnitRows
from app.engine.values import ASSIGNMENTS, TIMERS, InputRecord, Moment, State, Step


def adopt(link: Adopt, record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """Settled policy by policy; a timer goes on waiting for the user where its assignment was adopted."""
    rows = UnitRows(link.unit, state)
    theirs = decode(next((value for table, _, value in link.rows if table == ASSIGNMENTS), None))
    own = Given(rows.assignments, rows.holdouts)
    given, settled = settle(own, Given(theirs.get("assignments", {}), theirs.get("holdouts", {})), link.anonymous, policies)
    brought = given != own
    if brought:
        rows.take_over(given.assignments, given.holdouts)
    aside = [*theirs.get("aside", {}).values(), *(row | {"policy": one.policy} for one in settled for row in one.aside)]
    if aside:
        set_aside(rows, aside)
    said: Json = {"anonymous": link.anonymous, "user": link.unit, "taken": link.taken}
    said["settled"], said["holdouts"] = [_said(one) for one in settled], given.holdouts
    said["timers_set"], said["timers_dropped"] = _take_timers(link, theirs.get("pending", {}), rows)
    note_known(rows, link.anonymous.removeprefix(ANONYMOUS_PREFIX), record.appended_us, brought=brought)
    state_digest = rows.finish()
    more = json_field("identity", said)
    journal = journal_output(record, "linked", policies, moment, state_digest, unit=link.unit, event_id=None, more=more)
    return Step((journal,), tuple(rows.writes))


def _said(one: Settled) -> Json:
    """As the journal tells it: what is kept, and what is not any more."""
    return {
        "policy": one.policy,
        "verdict": one.verdict,
        **{name: one.kept[name] for name in ("assignment_id", "rule_version", "phase", "variant", "holdout")},
        "exposed": one.kept["exposed_us"] is not None,
        "set_aside": [
            {name: row[name] for name in ("assignment_id", "rule_version", "phase", "variant")}
            | {"exposed": row["exposed_us"] is not None}
            for row in one.aside
        ],
    }


def _take_timers(link: Adopt, pending: dict[str, Row], rows: UnitRows) -> tuple[list[Json], list[str]]:
    """(those that go on, ids of those whose assignment is not the user's: they wait for nothing any more)."""
    events = {row["timer_id"]: row["event"] for row in (decode(value) for table, _, value in link.rows if table == TIMERS)}
    taken, dropped = [], []
    for policy, waiting in sorted(pending.items()):
        assignment = rows.assignments.get(policy)
        if assignment is None or assignment.get("made_for") != link.anonymous or policy in rows.pending:
            dropped.append(waiting["timer_id"])
            continue
        rows.set_timer(policy, waiting, events[waiting["timer_id"]])
        taken.append({"policy": policy, "timer_id": waiting["timer_id"], "due_ts": format_us(waiting["due_us"])})
    return taken, dropped
