"""Feature values, day by day, of every decision that a policy's model was asked for: the journal replayed from its beginning.

Each vector is held to the digest that its decision was journalled with. Refuses to go on behind one that differs, or behind an
input that is gone: figures of other values than the model saw would be about nothing.

Memory: eight bytes a feature and decision.
"""

from array import array
from collections import defaultdict
from typing import Any

from app.analysis.alarms.scored import DAY_US, Span
from app.drift.watching import WatchedPolicies
from app.engine.models.features import Vector
from app.errors import OperatorError
from app.replay.checkpoints.start import starts_of
from app.replay.governance import GovernanceSteps
from app.replay.history import Journalled, PartitionHistory
from app.replay.selection import EVERYTHING
from app.replay.state import replay_state
from app.replay.stepper import Stepper
from app.replay.verify import choose
from app.settings import Settings

_REMEDY = "`truelift replay verify` names the first record that does not come out the same"


class Observed:
    """days: since 1970 -> feature's place -> values. decisions: whose vector came out as journalled."""

    def __init__(self, key: str, versions: Span) -> None:
        self.days: dict[int, dict[int, array[float]]] = defaultdict(lambda: defaultdict(lambda: array("d")))
        self.decisions = 0
        self._key = key
        self._versions = versions

    def take(self, journalled: Journalled, seen: list[Vector]) -> None:
        """seen: the vectors of this record, in the order of its decisions."""
        asked = [one for one in journalled.body["decisions"] if one["policy"] == self._key and "model" in one]
        if [one["model"]["features_digest"] for one in asked] != [vector.digest for vector in seen]:
            raise OperatorError(
                f"journal record {journalled.offset}: the features of {self._key} do not come out as journalled", _REMEDY
            )
        for decision, vector in zip(asked, seen, strict=True):
            self.decisions += 1
            if self._counts(decision) and vector.unavailable is None:
                of_day = self.days[journalled.decided_us // DAY_US]
                for place, value in enumerate(vector.values):
                    of_day[place].append(value)

    def _counts(self, decision: dict[str, Any]) -> bool:
        version: int = decision["active_rule_version"]
        return decision["mode"] == "live" and self._versions.first <= version <= self._versions.last


async def observe(settings: Settings, key: str, versions: Span) -> Observed:
    """versions: those whose model is asked about. OperatorError: a past that cannot be made anew."""
    found, watched = Observed(key, versions), WatchedPolicies(key)
    chosen = await choose(settings, EVERYTHING)
    starts = await starts_of(settings, chosen.topics, chosen.partitions, EVERYTHING.entry, None)
    async with GovernanceSteps(settings, watched) as governance:
        for partition in chosen.partitions:
            with replay_state("memory") as rows:
                starts[partition].load(rows)
                stepper = Stepper(rows)
                reading = PartitionHistory(settings, partition, chosen.topics, lambda _: None, starts[partition].position)
                async with reading as history:
                    await _observe_partition(history, governance, stepper, watched, found)
    return found


async def _observe_partition(
    history: PartitionHistory, governance: GovernanceSteps, stepper: Stepper, watched: WatchedPolicies, found: Observed
) -> None:
    async for paired in history.pairs():
        journalled, record = paired.journalled, paired.record
        if journalled is None or paired.trouble == "duplicate":
            continue
        policies = None if record is None else await governance.at(journalled.governance_offset)
        if record is None or policies is None:
            raise OperatorError(
                f"journal record {journalled.offset} of partition {history.partition} cannot be replayed: its past is gone",
                "Ask for a policy of which all inputs are within their retention",
            )
        if not stepper.continues_tick(record):
            stepper.finish()
        watched.seen.clear()
        stepper.step(journalled, record, policies)
        found.take(journalled, watched.seen)
