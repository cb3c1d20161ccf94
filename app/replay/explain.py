"""explain: one journal record in full: what came in, what was known of the unit, which gates ran, who had approved the version.

Owns finding the record (by decision, by event, in a user's list) and replaying its partition up to it, to say whether the same
bytes come out. Refuses to explain from a state that it could not build.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from app.contract.links import Forward, read_link
from app.contract.topics import IDENTITY_LINKS, JOURNAL
from app.engine.rows import decode, unit_key
from app.engine.values import InputRecord, Step
from app.errors import CallerError, OperatorError
from app.governance.records import Record
from app.reading import PartitionReader
from app.replay.checkpoints.start import Start, starts_of
from app.replay.difference import Difference, first_difference
from app.replay.governance import GovernanceSteps, provenance
from app.replay.history import Journalled, PartitionHistory, parse_journalled
from app.replay.selection import Bound, Selection
from app.replay.state import StateKind, replay_state
from app.replay.stepper import Stepper
from app.replay.verify import Chosen, choose
from app.settings import Settings

# Of one user, the last ones are listed.
LISTED_RECORDS = 50


class Place(NamedTuple):
    """Where a journal record stands."""

    partition: int
    journalled: Journalled


@dataclass(frozen=True)
class Explanation:
    """difference None: the replay gave the same bytes. rows before: as conditions saw them. governance: by decision id."""

    place: Place
    decisions: list[dict[str, Any]]
    signal: Any
    user_before: dict[str, Any]
    assignments_before: dict[str, Any]
    governance: dict[str, list[tuple[int, Record]]]
    difference: Difference | None

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": "truelift.explanation/1",
            "partition": self.place.partition,
            "offset": self.place.journalled.offset,
            "journal": self.place.journalled.body,
            "decisions": self.decisions,
            "signal": self.signal,
            "user_before": self.user_before,
            "assignments_before": self.assignments_before,
            "governance": {
                decision: [{"offset": offset, **record._asdict()} for offset, record in records]
                for decision, records in self.governance.items()
            },
            "reproduced": self.difference is None,
            "difference": None if self.difference is None else self.difference._asdict(),
        }


async def find(settings: Settings, *, decision_id: str | None = None, event_id: str | None = None) -> Place:
    """The first journal record with that decision, or about that event. CallerError when there is none."""
    chosen = await choose(settings, Selection())
    wanted = (decision_id or event_id or "").encode()
    for partition in chosen.partitions:
        async with PartitionReader(settings.kafka(), settings.topic(JOURNAL), partition) as journal:
            while (stored := await journal.take()) is not None:
                # A search of bytes passes over what cannot match without decoding it.
                journalled = parse_journalled(stored) if wanted in stored.value else None
                if journalled is not None and _is_about(journalled, decision_id, event_id):
                    return Place(partition, journalled)
    what = f"decision {decision_id}" if decision_id else f"event {event_id}"
    raise CallerError(f"the journal has no {what}", "Take the id from a journal record, or list with --user U")


def _is_about(journalled: Journalled, decision_id: str | None, event_id: str | None) -> bool:
    if decision_id is not None:
        return any(decision["decision_id"] == decision_id for decision in journalled.body["decisions"])
    # One that was sent on is explained where it was served.
    return bool(journalled.body["input"]["event_id"] == event_id) and journalled.status not in ("forwarded", "moved_out")


async def records_of(settings: Settings, user: str) -> list[Place]:
    """The last `LISTED_RECORDS` journal records of a unit, oldest first."""
    chosen = await choose(settings, Selection(user=user))
    everywhere: list[Place] = []
    for partition in chosen.partitions:
        found: deque[Place] = deque(maxlen=LISTED_RECORDS)
        async with PartitionReader(settings.kafka(), settings.topic(JOURNAL), partition) as journal:
            while (stored := await journal.take()) is not None:
                journalled = parse_journalled(stored) if user.encode() in stored.value else None
                if journalled is not None and journalled.unit == user:
                    found.append(Place(partition, journalled))
        everywhere += found
    return sorted(everywhere, key=lambda place: place.journalled.decided_us)[-LISTED_RECORDS:]


async def explain(
    settings: Settings,
    place: Place,
    decision_id: str | None = None,
    state: StateKind = "memory",
    checkpoint: str | None = None,
) -> Explanation:
    """Replays the partition up to the record. OperatorError when its input or state is gone. checkpoint: see `starts_of`."""
    chosen = await choose(settings, Selection(partition=place.partition))
    first = Bound(offset=place.journalled.offset)
    start = (await starts_of(settings, chosen.topics, chosen.partitions, first, checkpoint))[place.partition]
    async with GovernanceSteps(settings) as governance:
        with replay_state(state) as rows:
            start.load(rows)
            replayed = await _replay_to(settings, place, chosen, governance, Stepper(rows), start)
    body = place.journalled.body
    decisions = [d for d in body["decisions"] if decision_id in (None, d["decision_id"])]
    history = {}
    for decision in decisions:
        history[decision["decision_id"]] = await provenance(
            settings, decision["policy"], decision["rule_version"], place.journalled.governance_offset
        )
    return Explanation(
        place,
        decisions,
        _shown(replayed.record),
        replayed.user,
        replayed.assignments,
        history,
        _difference(place.journalled, replayed.step),
    )


class _Replayed(NamedTuple):
    record: InputRecord
    user: dict[str, Any]
    assignments: dict[str, Any]
    step: Step | None


async def _replay_to(
    settings: Settings, place: Place, chosen: Chosen, governance: GovernanceSteps, stepper: Stepper, start: Start
) -> _Replayed:
    async with PartitionHistory(settings, place.partition, chosen.topics, lambda _: None, start.position) as history:
        async for paired in history.pairs():
            journalled, record = paired.journalled, paired.record
            if journalled is None or paired.trouble == "duplicate":
                continue
            policies = await governance.at(journalled.governance_offset)
            if record is None or policies is None or not history.reaches_start:
                break
            if not stepper.continues_tick(record):
                stepper.finish()
            key = unit_key(journalled.unit or "")
            wanted = journalled.offset == place.journalled.offset
            user = decode(stepper.state.eligibility.get_bytes(key)) if wanted else {}
            assignments = decode(stepper.state.assignments.get_bytes(key)) if wanted else {}
            step = stepper.step(journalled, record, policies)
            if wanted:
                return _Replayed(record, user, assignments, step)
    raise OperatorError(
        f"journal record {place.journalled.offset} of partition {place.partition} cannot be replayed: its past is gone",
        "Read the journal record as it is, with any Kafka client; what retention took cannot be replayed",
    )


def _difference(journalled: Journalled, step: Step | None) -> Difference | None:
    if step is None:
        return Difference("(record)", "a fired timer", "none")
    replayed = step.outputs[0].value
    return None if replayed == journalled.raw else first_difference(journalled.raw, replayed)


def _shown(record: InputRecord) -> Any:
    """What came in; of a record that another partition sent on, what it sent."""
    link = read_link(record.value) if record.topic == IDENTITY_LINKS else None
    raw = link.value if isinstance(link, Forward) else record.value
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode(errors="replace")
