"""verify: every selected journal record made anew from its input and compared byte for byte, with what the step appended.

Reads the journal of each partition in order, folds governance to each record's offset, runs the engine on a state built from
the partition's beginning. Refuses to call identical what it could not reach, or what another engine wrote.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from app.contract.times import SECOND_US, format_us
from app.contract.topics import JOURNAL
from app.engine import ENGINE_SEMANTICS
from app.engine.policies import Policies
from app.engine.rows import decode, timers_until
from app.engine.values import InputRecord, Output, Step
from app.errors import OperatorError
from app.reading import topics_here
from app.replay.difference import first_difference
from app.replay.governance import GovernanceSteps
from app.replay.history import Journalled, Paired, PartitionHistory
from app.replay.outputs import OUTPUT_TOPICS, Match, OutputTopic
from app.replay.report import Finding, Kind, VerifyReport
from app.replay.selection import EVERYTHING, Selection
from app.replay.state import StateKind, replay_state
from app.replay.stepper import Stepper
from app.settings import Settings

# (partition, journal records' offsets done, of so many)
Progress = Callable[[int, int, int], None]
PROGRESS_EVERY_RECORDS = 500
# A timer fires at the first tick after its due time that the worker reaches: the order of topics is not that of their clocks.
OVERDUE_MARGIN_US = 30 * SECOND_US
OVERDUE_LIMIT = 1_000


class Chosen(NamedTuple):
    """The installation's topics, and of its journal the partitions to read."""

    topics: list[str]
    partitions: list[int]


async def choose(settings: Settings, selection: Selection) -> Chosen:
    """OperatorError when there is no journal."""
    there = await topics_here(settings)
    if not there.get(JOURNAL):
        raise OperatorError(
            f"missing topic {settings.topic(JOURNAL)} at {settings.bootstrap()}", "Create with `truelift topics init`"
        )
    return Chosen(list(there), selection.partitions_of(there[JOURNAL]))


async def verify(
    settings: Settings,
    selection: Selection = EVERYTHING,
    state: StateKind = "memory",
    progress: Progress = lambda *_: None,
    jobs: int = 1,
) -> VerifyReport:
    """Partitions one after the other, each with a state of its own; with `jobs`, so many at a time in own processes."""
    report, started = VerifyReport(), time.monotonic()
    chosen = await choose(settings, selection)
    if jobs > 1 and len(chosen.partitions) > 1:
        await _verify_in_processes(settings, selection, state, progress, jobs, chosen, report)
    else:
        await _verify_here(settings, selection, state, progress, chosen, report)
    report.seconds = time.monotonic() - started
    return report


async def _verify_in_processes(
    settings: Settings,
    selection: Selection,
    state: StateKind,
    progress: Progress,
    jobs: int,
    chosen: Chosen,
    report: VerifyReport,
) -> None:
    """A partition shares nothing with another but the governance log, which each process folds for itself."""
    loop = asyncio.get_running_loop()
    # Spawned, not forked: this process has a running loop and threads of RocksDB.
    with ProcessPoolExecutor(min(jobs, len(chosen.partitions)), get_context("spawn")) as pool:
        parts = [
            loop.run_in_executor(pool, _verify_partition, settings, selection._replace(partition=partition), state)
            for partition in chosen.partitions
        ]
        for partition, part in zip(chosen.partitions, parts, strict=True):
            report.add(await part)
            progress(partition, 1, 1)


def _verify_partition(settings: Settings, selection: Selection, state: StateKind) -> VerifyReport:
    return asyncio.run(verify(settings, selection, state))


async def _verify_here(
    settings: Settings, selection: Selection, state: StateKind, progress: Progress, chosen: Chosen, report: VerifyReport
) -> None:
    async with GovernanceSteps(settings) as governance:
        for partition in chosen.partitions:
            report.partitions.append(partition)
            with replay_state(state) as rows:
                check = PartitionCheck(partition, selection, Stepper(rows), governance, report)
                async with PartitionHistory(settings, partition, chosen.topics, check.missing_input) as history:
                    await check.run(history, progress)


class PartitionCheck:
    """The verification of one partition: what was last seen of it, and where findings go."""

    def __init__(
        self, partition: int, selection: Selection, stepper: Stepper, governance: GovernanceSteps, report: VerifyReport
    ) -> None:
        self._partition = partition
        self._selection = selection
        self._stepper = stepper
        self._governance = governance
        self._report = report
        self._outputs: dict[str, OutputTopic] = {}
        self._governance_offset = -1
        self._tick: tuple[InputRecord, bool] | None = None  # the tick at hand, and whether it is compared
        self._lost = False  # a record was out of reach: nothing after it can be verified
        self._at = 0
        self._latest_us = 0  # append time of the newest input that the journal names

    async def run(self, history: PartitionHistory, progress: Progress) -> None:
        self._outputs = {name: OutputTopic(name, await history.open(history.reader(name))) for name in OUTPUT_TOPICS}
        begin, end = history.journal.begin, history.journal.end
        self._lost = begin > 0
        async for paired in history.pairs():
            await self._check(paired)
            if self._report.records % PROGRESS_EVERY_RECORDS == 0:
                progress(self._partition, paired.stored.offset - begin, end - begin)
        await self._finish_tick()
        await self._overdue(history)
        self._report.waiting += await history.waiting()
        if not self._lost and not await history.journal.extend(0):
            await self._unexplained()
        progress(self._partition, end - begin, end - begin)

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
        self._latest_us = max(self._latest_us, record.appended_us)
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
            for match in await self._outputs[output.topic].match(output):
                if selected:
                    self._judge(output.topic, match)

    def _judge(self, topic: str, match: Match) -> None:
        self._report.outputs_compared += match.expected is not None
        self._report.outputs_identical += match.verdict == "identical"
        if match.verdict == "missing":
            self._note("output_missing", f"the step of this journal record appends to {topic}; nothing is there")
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
        tick_us = await history.latest_tick_us(self._latest_us - OVERDUE_MARGIN_US)
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
