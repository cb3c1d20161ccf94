"""Several partition groups in memory whose count grows under them: producers with old and new metadata, late views, ticks.

Owns the topics, the order in which groups consume (any order within a topic's own, drawn from a seed) and what was consumed, so
that every group can be replayed alone. A crash needs no play of its own: a Step is a transaction, done or not done.
"""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, Self

import orjson

from app.contract.ids import uuid_of
from app.contract.links import governance_offset_of
from app.contract.partitions import partition_of
from app.contract.times import SECOND_US, format_us
from app.contract.topics import IDENTITY_LINKS, TICKS
from app.engine.policies import Policies, compile_policies
from app.engine.process import process
from app.engine.topology import Topology
from app.engine.values import TABLES, InputRecord, Moment, Output
from tables.memory import MemoryState
from tests.engine.world import START_US, Json, body, catalogue, in_force

CATALOGUE = catalogue(
    bounds={"units_moved_per_tick": 2, "timers_per_tick": 3},
    holdouts={"global": {"seed": "g", "permille": 250}},
    windows={"dedup_window_seconds": 60},
)
COUNTS = (2, 4, 8)
ACTS = 150
REST_TICKS = 60
UNITS = (*(f"u-{number}" for number in range(14)), "anon:a-1", "ünï-😀", "u\x01", "u")
EVENTS = ("page_view", "feature_used", "billing_intent", "experiment_exposure", "identify")
INPUTS = (*(f"events.{name}" for name in EVENTS), TICKS, IDENTITY_LINKS)
EVERY_ROW = 1_000_000
OUTCOMES = {"primary": {"event": "billing_intent", "within_hours": 1, "kind": "count"}}


class Stored(NamedTuple):
    appended_us: int
    key: bytes | None
    value: bytes


class Consumed(NamedTuple):
    """A record as a group took it. outputs: of each Step that put something out."""

    record: InputRecord
    policies: Policies
    moment: Moment
    outputs: list[tuple[Output, ...]]


class Group:
    """view: number of the governance snapshot that its owner knows."""

    def __init__(self, partition: int, view: int) -> None:
        self.partition = partition
        self.view = view
        self.state = MemoryState()
        self.positions: dict[str, int] = {}
        self.consumed: list[Consumed] = []
        self.journal: list[Json] = []

    def rows(self, table: str) -> dict[bytes, bytes]:
        return rows_of(self.state, table)


def rows_of(state: MemoryState, table: str) -> dict[bytes, bytes]:
    return dict(getattr(state, table).scan(b"", b"\xff" * 64, EVERY_ROW))


class Cluster:
    """Played from a seed. `sent`: every record of a producer, by (topic, partition, offset)."""

    def __init__(self, seed: int, scalings: int = 2) -> None:
        self.random = Random(seed)
        self.now_us = START_US
        self.topics: dict[tuple[str, int], list[Stored]] = {}
        self.sent: dict[tuple[str, int, int], Json] = {}
        self.counts: tuple[int, ...] = COUNTS[:1]  # that topics have
        self.snapshots: list[Policies] = []
        self.groups = {partition: Group(partition, 0) for partition in range(COUNTS[0])}
        self._scalings = COUNTS[1 : 1 + scalings]
        self._edits = 0
        self.journal: list[Json] = []  # of all groups, in the order in which it was written
        self.at_rest = False
        self._serial = 0
        self._decided: list[Json] = []
        self._envelopes: list[Json] = []
        self._topology: Topology | None = None
        self._ended: set[tuple[int, int]] = set()  # (partition, count) of the groups whose old home has journalled its end
        self._govern()

    # -- what happens

    def named(self, field: str) -> list[str]:
        """All ids that the journal lists under `field`."""
        return [name for journal in self.journal for name in journal.get(field, ())]

    def play(self, acts: int = ACTS) -> Self:
        """So many acts for each partition count, then everything to its end."""
        for count in (*self._scalings, None):
            self._acts(acts)
            if count is not None:
                self._grow(count)
                self._acts(acts)
                self._settle()
        self._acts(acts // 2)
        self.drain()
        return self

    def _acts(self, number: int) -> None:
        for _ in range(number):
            self.now_us += self.random.randrange(SECOND_US // 4)
            weights = self.weights()
            (act,) = self.random.choices(list(weights), list(weights.values()))
            act()

    def weights(self) -> dict[Callable[[], None], float]:
        """What happens, and how often."""
        return {
            self._signal: 26,
            self._duplicate: 4,
            self._acknowledge: 6,
            self._tick: 8,
            self._edit: 1,
            self._look: 6,
            self._rest: 0.3,
            self._consume: 160,
        }

    def drain(self) -> None:
        """All that is there is consumed; ticks go on until nothing moves and no timer waits, or for too long (`at_rest`)."""
        for _ in range(REST_TICKS):
            self._consume_all()
            self.at_rest = not any(waits(group) for group in self.groups.values()) and self._is_ended()
            if self.at_rest:
                return
            self.now_us += SECOND_US
            for partition in self.groups:
                self._append_tick(partition)

    def _settle(self) -> None:
        """What the command does: it waits for all to have ended, then lets governance say so. Signals go on meanwhile."""
        while not self._is_ended():
            self._acts(20)
            for partition in self.groups:
                self._append_tick(partition)
        assert self._topology is not None
        self._topology = self._topology._replace(since_us=None)
        self._govern()

    def _grow(self, count: int) -> None:
        """Topics first; groups own the new partitions once their owner knows the snapshot."""
        self.counts = (*self.counts, count)
        self._acts(10)
        self._topology = Topology(self.counts, self.now_us)
        self._govern()
        for partition in range(len(self.groups), count):
            self.groups[partition] = Group(partition, len(self.snapshots) - 1)

    def _is_ended(self) -> bool:
        """Every new partition has journalled that its old home has no unit left."""
        if self._topology is None or not self._topology.moving:
            return True
        wanted = {(partition, self._topology.newest) for partition in range(self._topology.previous, self._topology.newest)}
        return wanted <= self._ended

    def _govern(self) -> None:
        self._edits += 1
        weights = (0.5, 0.5) if self._edits % 2 else (0.1, 0.9)
        action = {"kind": "render", "slot": "s", "component": "none"}
        variants = [{"key": key, "weight": weight, "action": action} for key, weight in zip("AB", weights, strict=True)]
        later = {"event": "feature_used", "decision_point": "point"}
        policies = [
            body("p", variants=variants, holdout="global", outcomes=OUTCOMES),
            body("q", variants=variants, trigger=later, timing={"delay_seconds": 3, "expires_seconds": 100_000_000 // 4}),
        ]
        entries = [in_force(policy, version=self._edits, phase=self._edits) for policy in policies]
        entries = [entry._replace(versions=dict.fromkeys(range(1, self._edits + 1), entry.body)) for entry in entries]
        offset = len(self.snapshots)
        self.snapshots.append(compile_policies(offset, CATALOGUE, entries, {}, None, self._topology))

    # -- producers

    def _signal(self) -> None:
        name = self.random.choice(("page_view", "page_view", "feature_used", "billing_intent"))
        self._send(self._envelope(name, self.random.choice(UNITS)))

    def _duplicate(self) -> None:
        if self._envelopes:
            self._send(self.random.choice(self._envelopes[-12:]))

    def _acknowledge(self) -> None:
        if not self._decided:
            return
        journal = self.random.choice(self._decided[-12:])
        decision = self.random.choice(journal["decisions"])
        said = {name: decision[name] for name in ("variant", "assignment_id", "rule_version")} | {"key": decision["policy"]}
        if decision["assignment_id"] is not None and decision["variant"] is not None:
            self._send(self._envelope("experiment_exposure", journal["unit"]) | {"experiment": said})

    def _envelope(self, name: str, unit: str) -> Json:
        self._serial += 1
        anonymous = unit.startswith("anon:")
        return {
            "event_name": name,
            "event_id": uuid_of(f"event{self._serial}"),
            "user_id": None if anonymous else unit,
            "anonymous_id": unit.removeprefix("anon:") if anonymous else None,
            "session_id": f"s-{unit}",
            "ts": format_us(self.now_us),
            "properties": {},
            "context": {"device": "web"},
        }

    def _send(self, envelope: Json) -> None:
        """A producer's metadata is of any count that the topics ever had."""
        self._envelopes.append(envelope)
        unit = self.key_of(envelope)
        topic = f"events.{envelope['event_name']}"
        partition = partition_of(unit, self.random.choice(self.counts))
        offset = self._append(topic, partition, unit.encode(), orjson.dumps(envelope))
        self.sent[topic, partition, offset] = envelope

    def key_of(self, envelope: Json) -> str:
        """The unit that it is appended for."""
        return envelope["user_id"] or f"anon:{envelope['anonymous_id']}"

    # -- workers

    def _tick(self) -> None:
        self._append_tick(self.random.choice(list(self.groups)))

    def _append_tick(self, partition: int) -> None:
        self._append(TICKS, partition, None, b"{}")

    def _edit(self) -> None:
        self._govern()

    def _look(self) -> None:
        """An owner hears of governance; another may not for long."""
        group = self.random.choice(list(self.groups.values()))
        group.view = max(group.view, self.random.randrange(len(self.snapshots)))

    def _rest(self) -> None:
        """So long that ids expire. No record waits for so long: topics are merged by time, and ids outlive a lag of a day."""
        self._consume_all()
        self.now_us += 90_000 * SECOND_US

    def _consume_all(self) -> None:
        while any(self._pending(group) for group in self.groups.values()):
            self._consume()

    def _consume(self) -> None:
        busy = [group for group in self.groups.values() if self._pending(group)]
        if busy:
            group = self.random.choice(busy)
            self._take(group, self.random.choice(self._pending(group)))

    def _pending(self, group: Group) -> list[str]:
        """A producer may write to a new partition before anybody owns it."""
        return [topic for topic in INPUTS if group.positions.get(topic, 0) < len(self.topics.get((topic, group.partition), ()))]

    def _take(self, group: Group, topic: str) -> None:
        offset = group.positions.get(topic, 0)
        group.positions[topic] = offset + 1
        stored = self.topics[topic, group.partition][offset]
        if topic == IDENTITY_LINKS:
            group.view = max(group.view, governance_offset_of(stored.value))
        record = InputRecord(topic, group.partition, offset, *stored)
        moment = Moment(self.now_us + self.random.randrange(20_000), False, COUNTS[0])
        policies = self.snapshots[group.view]
        steps = []
        for step in process(record, group.state, policies, moment):
            group.state.store(step.writes)
            if step.outputs:
                steps.append(step.outputs)
        group.consumed.append(Consumed(record, policies, moment, steps))
        for outputs in steps:
            for output in outputs:
                self._append(output.topic, group.partition if output.partition is None else output.partition, *output[1:3])
            journal = orjson.loads(outputs[0].value)
            self.journal.append(journal)
            group.journal.append(journal)
            if journal["decisions"]:
                self._decided.append(journal)
            if "from" in journal.get("ended", {}):
                self._ended.add((group.partition, journal["ended"]["partitions"]))

    def _append(self, topic: str, partition: int, key: bytes | None, value: bytes) -> int:
        records = self.topics.setdefault((topic, partition), [])
        records.append(Stored(self.now_us, key, value))
        return len(records) - 1


def replayed(group: Group) -> tuple[list[list[tuple[Output, ...]]], MemoryState]:
    """The group alone, from its journal's inputs: a tick without a journal record is unknown to a replay."""
    state, found = MemoryState(), []
    for one in group.consumed:
        if one.outputs:
            steps = []
            for step in process(one.record, state, one.policies, one.moment):
                state.store(step.writes)
                if step.outputs:
                    steps.append(step.outputs)
            found.append(steps)
    return found, state


def tables_without_ids() -> tuple[str, ...]:
    """Of a replay, which cannot know which ids a silent tick has let expire."""
    return tuple(table for table in TABLES if table != "seen")


def waits(group: Group) -> bool:
    """Whether a timer of a unit is set here, or a record or a part of a unit is not back or not whole."""
    return any(key[:1] != b"q" for key in group.rows("timers"))


def units_here(group: Group) -> set[str]:
    return {key.decode() for table in ("eligibility", "assignments") for key in group.rows(table)}


def given_in(journal: Json) -> list[tuple[str, str, Any]]:
    """(unit, policy, what it was given) of each decision that gave something."""
    return [
        (journal["unit"], decision["policy"], "held out" if decision["holdout"] else decision["variant"])
        for decision in journal["decisions"]
        if decision["holdout"] or decision["assigned"]
    ]
