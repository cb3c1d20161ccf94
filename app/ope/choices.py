"""The logged choices of a model's policy: each decision in which a variant was drawn, with the chance that every variant had.

With a candidate the journal is replayed, and at each such record the candidate decides on the state just as it was, which
changes nothing. Without one the journal alone tells: the two ways of choosing that the experiment compares.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from app.contract.model import BY_MODEL, BY_WEIGHTS, PERMILLE
from app.contract.policy import Policy
from app.contract.topics import JOURNAL
from app.engine.policies import Policies
from app.engine.process import process
from app.engine.values import InputRecord
from app.errors import CallerError, OperatorError
from app.governance.log import fold_all
from app.reading import PartitionReader
from app.replay.checkpoints.start import starts_of
from app.replay.governance import GovernanceSteps
from app.replay.history import Journalled, PartitionHistory, parse_journalled
from app.replay.proposal import ProposedPolicies, read_proposals
from app.replay.selection import EVERYTHING
from app.replay.state import replay_state
from app.replay.stepper import Stepper
from app.replay.verify import choose
from app.settings import Settings

Json = dict[str, Any]
Chances = Mapping[str, float]


class Choice(NamedTuple):
    """scores: of the logged model, and behind them those of a candidate's. wanted: by candidate, the chance of each variant."""

    unit: str
    assignment_id: str
    variant: str
    propensities: Chances
    scores: tuple[float, ...]
    wanted: Mapping[str, Chances]


@dataclass
class Choices:
    """left_out: why the candidate gave no chances at a logged choice -> how often."""

    found: list[Choice] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


async def logged_choices(settings: Settings, key: str, candidate: Path | None) -> Choices:
    """CallerError: no such policy, or a candidate for another one."""
    fold = await fold_all(settings)
    log = fold.state.policies.get(key)
    if log is None:
        raise CallerError(f"there is no policy {key!r}", "`truelift policy list` shows all")
    if candidate is not None:
        return await _replayed(settings, key, candidate)
    bodies = {version.number: version.policy for version in log.versions.values()}
    choices = Choices()
    async for unit, decision in _journalled(settings, key):
        choices.found.append(_choice(unit, decision, _two_ways(bodies[decision["rule_version"]], decision)))
    return choices


async def _journalled(settings: Settings, key: str) -> AsyncIterator[tuple[str, Json]]:
    chosen = await choose(settings, EVERYTHING)
    wanted = f'"policy":"{key}"'.encode()
    for partition in chosen.partitions:
        async with PartitionReader(settings.kafka(), settings.topic(JOURNAL), partition) as journal:
            while (stored := await journal.take()) is not None:
                journalled = parse_journalled(stored) if wanted in stored.value else None
                if journalled is not None:
                    for decision in drawn(journalled.body["decisions"], key):
                        yield str(journalled.unit), decision


async def _replayed(settings: Settings, key: str, file: Path) -> Choices:
    proposals = read_proposals([file], await fold_all(settings), PERMILLE)
    if proposals[0].policy.key != key:
        raise CallerError(
            f"{file} is a version of {proposals[0].policy.key}, not of {key}", "Give a version of the same policy"
        )
    name, body, choices = file.stem, proposals[0].policy, Choices()
    chosen = await choose(settings, EVERYTHING)
    starts = await starts_of(settings, chosen.topics, chosen.partitions, EVERYTHING.entry, None)
    async with GovernanceSteps(settings) as recorded, GovernanceSteps(settings, ProposedPolicies(proposals)) as proposed:
        for partition in chosen.partitions:
            start = starts[partition]
            with replay_state("memory") as rows:
                start.load(rows)
                stepper = Stepper(rows)
                async with PartitionHistory(settings, partition, chosen.topics, lambda _: None, start.position) as history:
                    async for journalled, record in _readable(history):
                        for decision in drawn(journalled.body["decisions"], key):
                            policies = await _policies(proposed, journalled)
                            other = _decided(record, stepper, policies, journalled, key)
                            _take(choices, journalled, decision, other, name, body)
                        if not stepper.continues_tick(record):
                            stepper.finish()
                        stepper.step(journalled, record, await _policies(recorded, journalled))
    return choices


async def _readable(history: PartitionHistory) -> AsyncIterator[tuple[Journalled, InputRecord]]:
    """OperatorError where an input is gone: the state behind it cannot be built."""
    async for paired in history.pairs():
        if paired.journalled is None or paired.trouble == "duplicate":
            continue
        if paired.record is None:
            raise _out_of_reach(history.partition, paired.journalled)
        yield paired.journalled, paired.record


def chooses(policy: Policy) -> bool:
    """Whether its model chooses the variant, and so logs propensities."""
    return policy.model is not None and policy.model.choose is not None


def drawn(decisions: Sequence[Json], key: str) -> list[Json]:
    """Those of the policy in which somebody chose: the model, or the weights that it is compared with."""
    return [one for one in decisions if one["policy"] == key and one.get("model", {}).get("chosen_by") is not None]


def _decided(record: InputRecord, stepper: Stepper, policies: Policies, journalled: Journalled, key: str) -> Json | None:
    """What the candidate decides on this record. Nothing is stored."""
    for step in process(record, stepper.state, policies, journalled.moment):
        if step.outputs:
            for decision in orjson.loads(step.outputs[0].value)["decisions"]:
                if decision["policy"] == key:
                    return dict(decision)
    return None


def _take(choices: Choices, journalled: Journalled, decision: Json, other: Json | None, name: str, body: Policy) -> None:
    if other is None:
        choices.left_out["not_triggered"] += 1
    elif "propensities" in (model := other.get("model") or {}):
        scores = tuple(model["scores"].values())
        choices.found.append(_choice(str(journalled.unit), decision, {name: model["propensities"]}, scores))
    elif other["assigned"] and not chooses(body):
        wanted = {name: {variant.key: variant.weight for variant in body.variants}}
        choices.found.append(_choice(str(journalled.unit), decision, wanted))
    else:
        choices.left_out[str(other["reason"])] += 1


def _choice(unit: str, decision: Json, wanted: Mapping[str, Chances], more: tuple[float, ...] = ()) -> Choice:
    model = decision["model"]
    scores = (*model["scores"].values(), *more)
    return Choice(unit, decision["assignment_id"], decision["variant"], model["propensities"], scores, wanted)


def _two_ways(policy: Policy, decision: Json) -> Mapping[str, Chances]:
    """The model's own draw and the weights, taken apart again: logged = against * weights + (1 - against) * model."""
    assert policy.model is not None
    assert policy.model.choose is not None
    against = policy.model.choose.against
    weights = {variant.key: variant.weight for variant in policy.variants}
    mixed = decision["model"]["propensities"]
    own = {key: max(0.0, (mixed[key] - against * weights[key]) / (1 - against)) for key in mixed}
    total = sum(own.values())
    return {BY_MODEL: {key: share / total for key, share in own.items()}, BY_WEIGHTS: weights}


async def _policies(steps: GovernanceSteps, journalled: Journalled) -> Policies:
    policies = await steps.at(journalled.governance_offset)
    if policies is None:
        raise OperatorError(
            f"the log has no record at governance offset {journalled.governance_offset}",
            "Read the installation that this journal belongs to: TRUELIFT_TOPIC_PREFIX, TRUELIFT_GOVERNANCE_BROKER",
        )
    return policies


def _out_of_reach(partition: int, journalled: Journalled) -> OperatorError:
    return OperatorError(
        f"the input of journal record {journalled.offset} of partition {partition} is gone, so no candidate can decide on it",
        "Evaluate without --candidate, which needs the journal alone, or within the retention of the inputs",
    )
