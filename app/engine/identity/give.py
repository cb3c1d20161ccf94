"""An anonymous unit becomes a user's: the Steps of an identify and of an ask, at the unit's partition."""

from app.contract.envelope import ANONYMOUS_PREFIX, Signal
from app.contract.links import Adopt, Ask, RowItem
from app.engine.identity.known import all_aside, give_to, user_of
from app.engine.identity.meet import ask
from app.engine.policies import Policies
from app.engine.record import Json, journal_output, json_field
from app.engine.repeats import Repeat, look_up
from app.engine.rows import encode, timer_key
from app.engine.shipment import Shipment
from app.engine.steps import plain_journal, repeated_step
from app.engine.unit import UnitRows
from app.engine.values import ASSIGNMENTS, TIMERS, InputRecord, Moment, State, Step


def identify(signal: Signal, record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """Where it is keyed by the anonymous unit, the link is made; by the user, it is asked for; with one id, there is none."""
    rows = UnitRows(signal.unit, state)
    seen = look_up(signal, record, state, policies)
    if isinstance(seen, Repeat):
        return repeated_step(seen, signal, record, rows, policies, moment)
    shipment, user = Shipment(signal.unit, record, policies), signal.event.get("user_id")
    status, more = "no_match", ""
    if signal.unit.startswith(ANONYMOUS_PREFIX) and user is not None:
        status, more = "linked", _give(rows, user, record, state, moment, shipment)
    elif ask(signal, rows, record, policies, moment, shipment):
        status = "linked"
    state_digest = rows.finish()
    rows.writes.append(seen)
    journal = plain_journal(status, signal, record, policies, moment, state_digest, more + shipment.field)
    return Step((journal, *shipment.outputs), tuple(rows.writes))


def asked(link: Ask, record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """As if it were an identify of that user."""
    rows, shipment = UnitRows(link.unit, state), Shipment(link.unit, record, policies)
    more = _give(rows, link.user, record, state, moment, shipment)
    state_digest = rows.finish()
    more += shipment.field
    journal = journal_output(record, "linked", policies, moment, state_digest, unit=link.unit, event_id=None, more=more)
    return Step((journal, *shipment.outputs), tuple(rows.writes))


def _give(rows: UnitRows, user: str, record: InputRecord, state: State, moment: Moment, shipment: Shipment) -> str:
    """The answer to `user`, always: somebody may wait for it. The journal's field about it."""
    owner = user_of(rows)
    is_first = owner is None
    said: Json = {"anonymous": rows.unit, "user": user, "linked_to": user if is_first else owner}
    given = [rows.assignments[policy] | {"policy": policy} for policy in sorted(rows.assignments)]
    said["given"] = [{name: row[name] for name in ("policy", "assignment_id", "variant", "holdout")} for row in given]
    said["timers"] = [waiting["timer_id"] for _, waiting in sorted(rows.pending.items())]
    answers: list[tuple[RowItem, ...]] = [()]
    if is_first:
        answers = _packed(rows, state)
        give_to(rows, user, record.appended_us)
    for content in answers:
        taken = owner not in (None, user)
        answer = Adopt(shipment.next_id(), record.group, user, rows.unit, taken, content)
        shipment.add_for(user, answer, moment)
    return json_field("identity", said)


def _packed(rows: UnitRows, state: State) -> list[tuple[RowItem, ...]]:
    """Assignments and holdouts; then each timer for itself, which carries an event as large as any. All leave the rows."""
    first = {"assignments": rows.assignments, "holdouts": rows.holdouts}
    if former := all_aside(rows):
        first["aside"] = former
    answers: list[tuple[RowItem, ...]] = [((ASSIGNMENTS, rows.key, encode(first)),) if any(first.values()) else ()]
    for policy, waiting in sorted(rows.pending.items()):
        key = timer_key(waiting["due_us"], waiting["timer_id"])
        value = state.timers.get_bytes(key)
        assert value is not None, f"timer {waiting['timer_id']} of {rows.unit} has no row"
        answers.append(((ASSIGNMENTS, rows.key, encode({"pending": {policy: waiting}})), (TIMERS, key, value)))
        rows.drop_pending(policy)
        rows.drop_timer(waiting["due_us"], waiting["timer_id"])
    return answers
