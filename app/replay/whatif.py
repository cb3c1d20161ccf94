"""what-if: the recorded inputs decided again with a proposed policy version in force from the start of the range.

Up to the start the recorded policies build the state; from there on the proposed ones decide, with every tick of the topic:
a proposal may set timers that nobody had. What was recorded is read from the journal. Acknowledgements are replayed as they
came: exposures are not predicted. What a login brings to a user is what it brought, since the user's partition may come before
that of the device. Writes nothing to Kafka.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from app.contract.topics import TICKS
from app.engine.moves.baggage import seen_ids
from app.engine.moves.handover import moved_out
from app.engine.policies import Policies
from app.engine.process import process
from app.engine.values import InputRecord, Moment, Step
from app.errors import OperatorError
from app.governance.log import fold_all
from app.reading import PartitionReader
from app.replay.checkpoints.start import starts_of
from app.replay.governance import GovernanceSteps
from app.replay.history import Journalled, Paired, PartitionHistory
from app.replay.luggage import Carried, Luggage
from app.replay.partition import PROGRESS_EVERY_RECORDS, Progress
from app.replay.proposal import Proposal, ProposedPolicies, read_proposals
from app.replay.selection import EVERYTHING, Selection
from app.replay.state import StateKind, replay_state
from app.replay.stepper import Stepper
from app.replay.verify import choose
from app.replay.whatif_report import NOTHING, Fate, PolicyEffect, sealed
from app.settings import Settings


async def what_if(
    settings: Settings,
    files: Sequence[Path],
    selection: Selection = EVERYTHING,
    coverage_permille: int | None = None,
    state: StateKind = "memory",
    progress: Progress = lambda *_: None,
    checkpoint: str | None = None,
) -> dict[str, Any]:
    """The sealed report. OperatorError where retention has taken what the state is built from.

    checkpoint: as `starts_of` takes it. A range that begins before it is cut there.
    """
    proposals = read_proposals(files, await fold_all(settings), coverage_permille)
    effects = {proposal.policy.key: PolicyEffect(proposal) for proposal in proposals}
    chosen = await choose(settings, selection)
    starts = await starts_of(settings, chosen.topics, chosen.partitions, selection.entry, checkpoint)
    scope, luggage = [], Luggage()
    records, governance_offset = 0, -1
    async with GovernanceSteps(settings) as recorded, GovernanceSteps(settings, ProposedPolicies(proposals)) as proposed:
        for partition in chosen.partitions:
            start = starts[partition]
            with replay_state(state) as rows:
                start.load(rows)
                run = PartitionWhatIf(proposals, selection, Stepper(rows), recorded, proposed, luggage)
                async with PartitionHistory(settings, partition, chosen.topics, lambda _: None, start.position) as history:
                    await run.run(history, progress)
            for key, effect in effects.items():
                for unit in run.units(key):
                    effect.add(unit, *run.fates(key, unit))
            scope.append({"partition": partition, "first": run.first, "last": run.last, "records": run.records})
            records += run.records
            governance_offset = max(governance_offset, run.governance_offset)
    span = {"from": selection.start.text, "to": selection.end.text, "user": selection.user, "partitions": scope}
    return sealed(effects.values(), records, governance_offset, span)


class PartitionWhatIf:
    """One partition: the fates of its units, recorded and proposed. Memory: two fates a unit and policy."""

    def __init__(
        self,
        proposals: Sequence[Proposal],
        selection: Selection,
        stepper: Stepper,
        recorded: GovernanceSteps,
        proposed: GovernanceSteps,
        luggage: Luggage,
    ) -> None:
        self._selection = selection
        self._stepper = stepper
        self._luggage = luggage
        self._recorded_policies = recorded
        self._proposed_policies = proposed
        keys = [proposal.policy.key for proposal in proposals]
        self._recorded: dict[str, dict[str, Fate]] = {key: {} for key in keys}
        self._proposed: dict[str, dict[str, Fate]] = {key: {} for key in keys}
        self._ticks: PartitionReader | None = None
        self._past_us = 0
        self._past_tick = -1
        self.first: int | None = None
        self.last: int | None = None
        self.records = 0
        self.governance_offset = -1

    async def run(self, history: PartitionHistory, progress: Progress) -> None:
        end = history.journal.end
        if not history.reaches_start:
            raise self._out_of_reach(history, history.journal.begin)
        start = history.start
        next_tick = start.inputs.get(TICKS, 0)
        self._past_us, self._past_tick = start.appended_us, next_tick - 1
        self._ticks = await history.open(history.reader(TICKS, next_tick))
        async for paired in history.pairs():
            journalled = paired.journalled
            if journalled is None or paired.trouble == "duplicate":
                continue
            if self._selection.end.offset is not None and journalled.offset >= self._selection.end.offset:
                break
            if paired.record is None:
                raise self._out_of_reach(history, journalled.offset)
            await self._take(paired, journalled, paired.record)
            if journalled.offset % PROGRESS_EVERY_RECORDS == 0:
                progress(history.partition, journalled.offset, end)
        progress(history.partition, end, end)

    def units(self, key: str) -> list[str]:
        """Those that the policy was asked about on either side, in order of name."""
        return sorted(self._recorded[key].keys() | self._proposed[key].keys())

    def fates(self, key: str, unit: str) -> tuple[Fate, Fate]:
        return self._recorded[key].get(unit, NOTHING), self._proposed[key].get(unit, NOTHING)

    async def _take(self, paired: Paired, journalled: Journalled, record: InputRecord) -> None:
        if not self._selection.has_begun(journalled) and self.first is None:
            self._rebuild(journalled, record, await self._policies(self._recorded_policies, journalled))
            return
        if self._selection.is_past(journalled):
            return
        if self.first is None:
            self.first = journalled.offset
            self._stepper.finish()
            await self._pass_old_ticks()
        self.last = journalled.offset
        self.records += 1
        self.governance_offset = max(self.governance_offset, journalled.governance_offset)
        if journalled.status == "moved_in" and journalled.unit is not None:
            self._arrive(journalled.unit)
        self._note(self._recorded, journalled.unit, journalled.body["decisions"])
        policies = await self._policies(self._proposed_policies, journalled)
        await self._ticks_until(record.appended_us, policies)
        if not journalled.poison:
            for step in self._steps(journalled, self._luggage.received(record), policies, journalled.moment):
                self._store(step)
        if journalled.status == "moved_out" and journalled.unit is not None:
            self._leave(journalled.unit)

    def _steps(self, journalled: Journalled, record: InputRecord, policies: Policies, moment: Moment) -> Iterable[Step]:
        """Timers fire at every tick, as the proposal set them; units leave at the tick at which they did."""
        state = self._stepper.state
        if record.topic != TICKS:
            return process(record, state, policies, moment)
        if journalled.status != "moved_out" or journalled.unit is None:
            return ()
        seen = seen_ids((journalled.unit,), record.appended_us, state).get(journalled.unit.encode(), [])
        return (moved_out(journalled.unit, journalled.body["moved"]["to"], seen, record, state, policies, moment),)

    def _leave(self, unit: str) -> None:
        """It is counted where it goes to."""
        recorded, proposed = (
            {key: of_policy.pop(unit) for key, of_policy in fates.items() if unit in of_policy}
            for fates in (self._recorded, self._proposed)
        )
        self._luggage.leave(unit, Carried(recorded, proposed))

    def _arrive(self, unit: str) -> None:
        carried = self._luggage.arrive(unit)
        if carried is not None:
            for fates, of_unit in ((self._recorded, carried.recorded), (self._proposed, carried.proposed)):
                for key, fate in of_unit.items():
                    fates[key][unit] = fate

    def _rebuild(self, journalled: Journalled, record: InputRecord, policies: Policies) -> None:
        """Before the range: as it was."""
        if not self._stepper.continues_tick(record):
            self._stepper.finish()
        self._stepper.step(journalled, record, policies)
        self._past_us = max(self._past_us, record.appended_us)
        if record.topic == TICKS:
            self._past_tick = record.offset

    async def _policies(self, steps: GovernanceSteps, journalled: Journalled) -> Policies:
        policies = await steps.at(journalled.governance_offset)
        if policies is None:
            raise OperatorError(
                f"journal record {journalled.offset} was decided at governance offset {journalled.governance_offset}, "
                "where the log has no record",
                "Read the installation that this journal belongs to: TRUELIFT_TOPIC_PREFIX, TRUELIFT_GOVERNANCE_BROKER",
            )
        return policies

    async def _pass_old_ticks(self) -> None:
        assert self._ticks is not None
        while (tick := await self._ticks.peek()) is not None:
            if tick.offset > self._past_tick and tick.timestamp_ms * 1000 > self._past_us:
                return
            await self._ticks.take()

    async def _ticks_until(self, us: int, policies: Policies) -> None:
        """Ticks that came before this record by the broker's clock; they are decided at their own time, a fact of the topic."""
        assert self._ticks is not None
        while (tick := await self._ticks.peek()) is not None and tick.timestamp_ms * 1000 <= us:
            await self._ticks.take()
            policies = policies._replace(topology=None) if policies.topology is not None else policies
            at_us = tick.timestamp_ms * 1000
            record = InputRecord(TICKS, self._ticks.partition, tick.offset, at_us, tick.key, tick.value)
            for step in process(record, self._stepper.state, policies, Moment(at_us)):
                self._store(step)

    def _store(self, step: Step) -> None:
        self._stepper.state.store(step.writes)
        if step.outputs:
            self._luggage.send(step)
            journal = orjson.loads(step.outputs[0].value)
            self._note(self._proposed, journal["unit"], journal["decisions"])

    def _note(self, fates: dict[str, dict[str, Fate]], unit: str | None, decisions: list[dict[str, Any]]) -> None:
        if unit is None or (self._selection.user is not None and unit != self._selection.user):
            return
        for decision in decisions:
            of_policy = fates.get(decision["policy"])
            if of_policy is not None:
                of_policy[unit] = of_policy.get(unit, NOTHING).after(decision)

    def _out_of_reach(self, history: PartitionHistory, offset: int) -> OperatorError:
        return OperatorError(
            f"the state of partition {history.partition} cannot be built: journal record {offset} or its input is gone",
            "Keep inputs and journal for the same audit window; what retention took cannot be replayed",
        )
