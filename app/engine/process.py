"""process: from any input record to its Steps. The worker and the replay both go through here, and through nothing else."""

from collections.abc import Callable, Iterator

from app.contract.envelope import Rejection, Signal
from app.contract.topics import EXPERIMENT_EXPOSURE, TICKS
from app.engine.acknowledge import acknowledge
from app.engine.admission import admit
from app.engine.decide import decide
from app.engine.policies import Policies
from app.engine.steps import rejected
from app.engine.ticks import fire
from app.engine.values import InputRecord, Moment, State, Step

Handler = Callable[[Signal, InputRecord, State, Policies, Moment], Step]

# Topics with a meaning of their own; what comes on any other input topic is a signal to decide on.
HANDLERS: dict[str, Handler] = {EXPERIMENT_EXPOSURE: acknowledge}


def process(record: InputRecord, state: State, policies: Policies, moment: Moment) -> Iterator[Step]:
    """The Steps of one record, in order: exactly one for a signal, one for each timer that a tick fires.

    Store each Step before asking for the next.
    """
    if record.topic == TICKS:
        yield from fire(record, state, policies, moment)
        return
    signal = admit(record, policies)
    if isinstance(signal, Rejection):
        yield rejected(record, signal, policies, moment)
    else:
        yield HANDLERS.get(record.topic, decide)(signal, record, state, policies, moment)


def process_poison(record: InputRecord, policies: Policies, moment: Moment) -> Step:
    """The Step of a record on which the code failed: what went wrong is in the worker's log, the record is kept."""
    found = Rejection(
        "poison", "the code failed on this record; mend it, then `truelift deadletter retry` submits the record again"
    )
    return rejected(record, found, policies, moment, poison=True)
