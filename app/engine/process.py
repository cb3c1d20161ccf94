"""process: from any input record to its Steps. The worker and the replay both go through here, and through nothing else."""

from collections.abc import Callable, Iterator

from app.contract.envelope import Rejection, Signal
from app.contract.links import Adopt, Ask, Ended, Forward, Link, Move, Open, read_link
from app.contract.topics import DECISION_DELIVERY, EXPERIMENT_EXPOSURE, IDENTIFY, IDENTITY_LINKS, TICKS
from app.engine.acknowledge import acknowledge
from app.engine.admission import admit
from app.engine.decide import decide
from app.engine.deliver import deliver
from app.engine.identity.adopt import adopt
from app.engine.identity.give import asked, identify
from app.engine.moves.arrivals import one_back
from app.engine.moves.departures import give_up
from app.engine.moves.elsewhere import elsewhere
from app.engine.moves.handover import ended_there, moved_in, open_there
from app.engine.policies import Policies
from app.engine.steps import rejected
from app.engine.ticks import fire
from app.engine.values import NOBODY, InputRecord, Moment, State, Step, Via

Handler = Callable[[Signal, InputRecord, State, Policies, Moment], Step]

# Topics with a meaning of their own; what comes on any other input topic is a signal to decide on.
HANDLERS: dict[str, Handler] = {EXPERIMENT_EXPOSURE: acknowledge, DECISION_DELIVERY: deliver, IDENTIFY: identify}


def process(record: InputRecord, state: State, policies: Policies, moment: Moment) -> Iterator[Step]:
    """The Steps of one record, in order: exactly one, but for a tick: one for each timer that it fires and unit that it moves.

    Store each Step before asking for the next.
    """
    if record.topic == TICKS:
        yield from fire(record, state, policies, moment)
        if policies.topology is not None:
            yield from give_up(record, state, policies, moment)
    elif record.topic == IDENTITY_LINKS:
        yield _follow(record, state, policies, moment)
    else:
        yield _serve(record, state, policies, moment)


def _serve(record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """A record that was appended here: most of them."""
    signal = admit(record, policies)
    if isinstance(signal, Rejection):
        return rejected(record, signal, policies, moment)
    if policies.topology is not None:
        step = elsewhere(signal.unit, signal.event_id, record, state, policies, moment)
        if step is not None:
            return step
    return HANDLERS.get(record.topic, decide)(signal, record, state, policies, moment)


def _follow(record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """A link: a unit on its way, what belongs to one, or a record that another partition group sent here."""
    link = read_link(record.value)
    if isinstance(link, Forward):
        return _serve_forwarded(link, record, state, policies, moment)
    if isinstance(link, Ask | Adopt):
        step = elsewhere(link.unit, None, record, state, policies, moment)
        return _meet(link, record, state, policies, moment) if step is None else step
    if isinstance(link, Move):
        return moved_in(link, record, state, policies, moment)
    if isinstance(link, Open):
        return open_there(link, record, state, policies, moment)
    if isinstance(link, Ended):
        return ended_there(link, record, policies, moment)
    return rejected(record, link, policies, moment)


def _meet(link: Link | Rejection, record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """Two units of one person, where the one that is spoken to lives."""
    if isinstance(link, Ask):
        return asked(link, record, state, policies, moment)
    if isinstance(link, Adopt):
        return adopt(link, record, state, policies, moment)
    found = link if isinstance(link, Rejection) else Rejection("malformed_link", "only what speaks to a unit is sent on")
    return rejected(record, found, policies, moment)


def _serve_forwarded(link: Forward, record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """As if it had been appended here. Where it goes on, nobody looks into it: the one who serves it does."""
    first = _unwrapped(link, record)
    step = elsewhere(link.unit, link.event_id, first, state, policies, moment)
    if step is None and first.topic == IDENTITY_LINKS:
        step = _meet(read_link(first.value), first, state, policies, moment)
    elif step is None:
        signal = admit(first, policies)
        if isinstance(signal, Rejection):
            step = rejected(first, signal, policies, moment)
        else:
            served = signal if signal.unit == link.unit else signal._replace(unit=link.unit)
            step = HANDLERS.get(first.topic, decide)(served, first, state, policies, moment)
    if link.asked != record.partition:
        return step
    return step._replace(writes=(*step.writes, *one_back(state, link.unit)))


def _unwrapped(link: Forward, record: InputRecord) -> InputRecord:
    sender = NOBODY if link.linked else link.sender
    via = Via(record.partition, record.offset, record.appended_us, sender, link.asked)
    return InputRecord(link.topic, link.partition, link.offset, link.appended_us, link.key, link.value, via)


def process_poison(record: InputRecord, policies: Policies, moment: Moment) -> Step:
    """The Step of a record on which the code failed: what went wrong is in the worker's log, the record is kept."""
    found = Rejection(
        "poison", "the code failed on this record; mend it, then `truelift deadletter retry` submits the record again"
    )
    link = read_link(record.value) if record.topic == IDENTITY_LINKS else None
    return rejected(_unwrapped(link, record) if isinstance(link, Forward) else record, found, policies, moment, poison=True)
