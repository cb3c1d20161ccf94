"""Runs the engine over a partition's records as a worker did: one Step a journal record, stored before the next."""

from collections.abc import Iterator

from app.contract.topics import TICKS
from app.engine.policies import Policies
from app.engine.process import process, process_poison
from app.engine.values import InputRecord, Step
from app.replay.history import Journalled
from tables.unit_state import UnitState


class Stepper:
    """The state of one partition and, while a tick fires its timers one journal record after the other, that tick."""

    def __init__(self, state: UnitState) -> None:
        self.state = state
        self._tick: tuple[int, Iterator[Step]] | None = None

    def continues_tick(self, record: InputRecord) -> bool:
        """Whether `record` is the tick whose timers are being fired."""
        return self._tick is not None and record.topic == TICKS and record.offset == self._tick[0]

    def step(self, journalled: Journalled, record: InputRecord, policies: Policies) -> Step | None:
        """The Step behind a journal record; None for a tick that fires no (further) timer."""
        moment = journalled.moment
        if journalled.poison:
            return process_poison(record, policies, moment)
        if record.topic != TICKS:
            (step,) = process(record, self.state, policies, moment)
            self.state.store(step.writes)
            return step
        if not self.continues_tick(record):
            self._tick = (record.offset, process(record, self.state, policies, moment))
        return self._next_fired()

    def finish(self) -> list[Step]:
        """What the tick at hand would still fire: nothing, if the journal has a record for each."""
        left: list[Step] = []
        while self._tick is not None and (step := self._next_fired()) is not None:
            left.append(step)
        self._tick = None
        return left

    def _next_fired(self) -> Step | None:
        """Steps without output (ids that a tick lets expire) are stored on the way."""
        assert self._tick is not None
        for step in self._tick[1]:
            self.state.store(step.writes)
            if step.outputs:
                return step
        return None
