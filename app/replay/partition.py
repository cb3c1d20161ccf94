"""The check of one partition: each journal record made anew from its input and compared byte for byte, outputs included.

Folds governance to each record's offset and runs the engine on a state that it builds on the way, from the beginning or from a
checkpoint's rows. Refuses to call identical what it could not reach, or what another engine wrote.
"""

from collections.abc import Callable

from app.contract.times import SECOND_US, format_us
from app.contract.topics import IDENTITY_LINKS, JOURNAL
from app.engine import ENGINE_SEMANTICS
from app.engine.policies import Policies
from app.engine.rows import decode, timers_until
from app.engine.values import InputRecord, Output, Step
from app.replay.difference import first_difference
from app.replay.governance import GovernanceSteps
from app.replay.history import Journalled, Paired, PartitionHistory
from app.replay.outputs import OUTPUT_TOPICS, Match, OutputTopic
from app.replay.position import Position
from app.replay.report import Finding, Kind, VerifyReport
from app.replay.selection import EVERYTHING, OPEN, Bound, Selection
from app.replay.stepper import Stepper

# (partition, journal records' offsets done, of so many)
Progress = Callable[[int, int, int], None]
PROGRESS_EVERY_RECORDS = 500
# A timer fires at the first tick after its due time that the worker reaches: the order of topics is not that of their clocks.
OVERDUE_MARGIN_US = 30 * SECOND_US
OVERDUE_LIMIT = 1_000


# An output that is not found, by the reason why.
_ABSENT: dict[str, tuple[Kind, str]] = {
    "missing": ("output_missing", "nothing is there"),
    "unreachable": ("output_unverifiable", "retention took the front of it"),
}


class PartitionCheck:
    """The verification of one partition: what was last seen of it, and where findings go.

    stepper: with the rows as they are where the history starts.
    """

    def __init__(
        self, partition: int, selection: Selection, stepper: Stepper, governance: GovernanceSteps, report: VerifyReport
    ) -> None:
        self._partition = partition
        self._selection = selection
        self._stepper = stepper
        self._governance = governance
        self._report = report
        self._outputs: dict[str, OutputTopic] = {}
        self._history: PartitionHistory | None = None
        self._governance_offset = -1
        self._tick: tuple[InputRecord, bool] | None = None  # the tick at hand, and whether it is compared
        self._lost = False  # a record was out of reach: nothing after it can be verified
        self._at = 0
        self._appended_us = self._decided_us = 0  # of the newest input that the journal names, and of the newest decision

    async def run(self, history: PartitionHistory, progress: Progress) -> None:
        """To the end of the journal, and what is left over of the topics beside it."""
        await self.advance(history, progress)
        self._report.waiting += await history.waiting()
        if not self._lost and not await history.journal.extend(0):
            await self._unexplained()

    async def advance(self, history: PartitionHistory, progress: Progress, until: Bound = OPEN) -> Position:
        """To the first journal record at or past `until`; where that is."""
        await self._begin(history)
        first, end = max(history.journal.begin, history.start.journal), history.journal.end
        async for paired in history.pairs(Selection(end=until).is_past):
            await self._check(paired)
            if self._report.records % PROGRESS_EVERY_RECORDS == 0:
                progress(self._partition, paired.stored.offset - first, end - first)
        await self._finish_tick()
        await self._overdue(history)
        progress(self._partition, end - first, end - first)
        return self._position(history)

    async def _begin(self, history: PartitionHistory) -> None:
        start, self._history = history.start, history
        for name in OUTPUT_TOPICS:
            offset = start.outputs.get(name, 0)
            self._outputs[name] = OutputTopic(name, await history.open(history.reader(name, offset)), offset)
        self._lost = not history.reaches_start
        self._at, self._governance_offset = start.journal, start.governance_offset
        self._appended_us, self._decided_us = start.appended_us, start.decided_us

    def _position(self, history: PartitionHistory) -> Position:
        taken = {name: topic.next_offset for name, topic in self._outputs.items() if topic.next_offset}
        return Position(
            history.next_journal, history.next_inputs, taken, self._governance_offset, self._appended_us, self._decided_us
        )

    def missing_input(self, record: InputRecord) -> None:
        if not self._lost and self._selection.includes_input(record, self._at):
            what = "the input has no journal record, a later one of its topic has"
            self._report.note(Finding("missing", record.topic, self._partition, record.offset, what))

    async def _check(self, paired: Paired) -> None:
        self._report.records += 1
        self._at = paired.stored.offset
        journalled, record = paired.journalled, paired.record
        if journalled is None:
            self._note("unreadable", f"no journal record: {paired.stored.value[:80]!r}")
            return
        selected = self._selection.includes(journalled)
        if record is not None and self._tick is not None and not self._stepper.continues_tick(record):
            await self._finish_tick()
        if paired.trouble == "duplicate":
            self._note("duplicate", f"{journalled.topic}@{journalled.input_offset} was journalled before")
            return
        policies = await self._policies(journalled)
        if self._lost or record is None or policies is None:
            self._out_of_reach(paired, journalled, selected)
            return
        step = self._stepper.step(journalled, record, policies)
        if self._stepper.continues_tick(record):
            self._tick = (record, selected)
        if step is None:
            self._note("extra_fired", f"tick {record.offset} fires no such timer")
            return
        self._appended_us = max(self._appended_us, record.appended_us)
        self._decided_us = max(self._decided_us, journalled.decided_us)
        if selected and journalled.engine_semantics != ENGINE_SEMANTICS:
            self._note("other_engine", f"engine_semantics {journalled.engine_semantics}, this is {ENGINE_SEMANTICS}")
            selected = False
        if selected:
            self._compare(journalled, step)
        await self._compare_outputs(step.outputs[1:], selected)

    async def _policies(self, journalled: Journalled) -> Policies | None:
        offset = journalled.governance_offset
        if offset < self._governance_offset:
            self._note("governance_back", f"governance_offset {offset} after {self._governance_offset}")
        self._governance_offset = max(offset, self._governance_offset)
        policies = await self._governance.at(offset)
        if policies is None:
            self._note("governance_missing", f"the governance log has no record at offset {offset}")
        return policies

    def _out_of_reach(self, paired: Paired, journalled: Journalled, selected: bool) -> None:
        """Retention, or a log that is not the journal's: what comes after depends on a state nobody can build any more."""
        if paired.trouble == "not_in_topic":
            self._note("not_in_topic", f"its input {journalled.topic}@{journalled.input_offset} is not there")
        self._lost = True
        if selected:
            self._note("unverifiable", "its input, its state or its policies cannot be reached")

    def _compare(self, journalled: Journalled, step: Step) -> None:
        self._report.compared += 1
        expected = step.outputs[0]
        if expected.value == journalled.raw and expected.key == journalled.key:
            self._report.identical += 1
            return
        self._different("different", JOURNAL, self._at, (journalled.key, journalled.raw), expected)

    async def _compare_outputs(self, outputs: tuple[Output, ...], selected: bool) -> None:
        for output in outputs:
            topic = self._outputs[output.topic] if output.partition is None else await self._elsewhere(output.partition)
            for match in await topic.match(output):
                if selected:
                    self._judge(topic.place, match)

    async def _elsewhere(self, partition: int) -> OutputTopic:
        """Links go to other partitions than the input's; each is read once the first one is expected there."""
        assert self._history is not None, "nothing is compared before the beginning"
        place = f"{IDENTITY_LINKS}[{partition}]"
        known = self._outputs.get(place)
        if known is None:
            offset = self._history.start.outputs.get(place, 0)
            reader = await self._history.open(self._history.reader(IDENTITY_LINKS, offset, partition))
            known = self._outputs[place] = OutputTopic(IDENTITY_LINKS, reader, offset, sender=self._partition)
        return known

    def _judge(self, topic: str, match: Match) -> None:
        self._report.outputs_compared += match.expected is not None
        self._report.outputs_identical += match.verdict == "identical"
        if match.verdict in _ABSENT:
            kind, what = _ABSENT[match.verdict]
            self._note(kind, f"the step of this journal record appends to {topic}; {what}")
        elif match.verdict == "unexpected" and match.actual is not None:
            self._unexpected(topic, match.actual.offset)
        elif match.verdict == "different" and match.actual is not None and match.expected is not None:
            actual = match.actual
            self._different("output_different", topic, actual.offset, (actual.key, actual.value), match.expected)

    def _different(self, kind: Kind, topic: str, offset: int, recorded: tuple[bytes | None, bytes], expected: Output) -> None:
        key, raw = recorded
        if key != expected.key:
            path, left, right = "(key)", repr(key), repr(expected.key)
        else:
            path, left, right = first_difference(raw, expected.value)
        what = "the record differs from its replay"
        self._report.note(Finding(kind, topic, self._partition, offset, what, path, left, right))

    async def _finish_tick(self) -> None:
        """A tick is over: timers that it should still have fired are missing from the journal."""
        if self._tick is None:
            return
        (tick, selected), self._tick = self._tick, None
        for step in self._stepper.finish():
            if selected:
                self._note("missing_fired", f"tick {tick.offset} fires a timer that has no record")
            await self._compare_outputs(step.outputs[1:], selected)

    async def _overdue(self, history: PartitionHistory) -> None:
        """Timers that are still set although a tick at which they were due was passed long before the journal's last record."""
        tick_us = await history.latest_tick_us(self._appended_us - OVERDUE_MARGIN_US)
        if self._lost or tick_us is None or self._selection._replace(partition=None) != EVERYTHING:
            return
        for _, value in self._stepper.state.timers.scan(*timers_until(tick_us), OVERDUE_LIMIT):
            timer = decode(value)
            what = f"timer {timer['timer_id']} of {timer['unit']}, due at {format_us(timer['due_us'])}, was never fired"
            self._note("missing_fired", what)

    async def _unexplained(self) -> None:
        """Only asked when the journal did not grow meanwhile: then what is left over belongs to no record of it."""
        for name, topic in self._outputs.items():
            for match in await topic.rest():
                assert match.actual is not None
                self._unexpected(name, match.actual.offset)

    def _unexpected(self, topic: str, offset: int) -> None:
        what = "no journal record explains it"
        self._report.note(Finding("output_unexpected", topic, self._partition, offset, what))

    def _note(self, kind: Kind, what: str) -> None:
        self._report.note(Finding(kind, JOURNAL, self._partition, self._at, what))
