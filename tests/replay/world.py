"""A small history as a worker would leave it: signals, ticks, acknowledgements, governance, and what the engine made of them.

Time is simulated, so that timers and windows take no waiting. `publish` puts it on the broker; tests change it before that.
"""

import asyncio
import copy
import heapq
import itertools
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.contract.ids import uuid_of
from app.contract.partitions import partition_of
from app.contract.times import format_us
from app.contract.topics import GOVERNANCE, JOURNAL, TICKS, TopicSpec, topic_specs
from app.engine.policies import Policies
from app.engine.process import process, process_poison
from app.engine.values import InputRecord, Moment, Output
from app.governance.drafts import Drafter, activate, approve, catalogue, kill, propose, ramp, register_key
from app.governance.fold import Fold
from app.settings import Settings
from app.stream.admin import ensure_topics
from tables.memory import MemoryState
from tests.governance.conftest import PEOPLE, Ledger

PARTITIONS = 2
NUDGE, DELAY, WAIT, SHADOW = "onboarding_nudge_v1", "tip_delay", "compare_wait", "tip_shadow"
SECONDS = 90
STALE_FROM_MS, STALE_TO_MS = 50_000, 53_000
LAG_MS = 3
HOP_MS = 5
_EXAMPLE = Path(__file__).parents[1] / "data" / "onboarding_nudge_v1.yaml"


class Stored(NamedTuple):
    timestamp_ms: int
    key: bytes | None
    value: bytes


def nudge(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load(_EXAMPLE.read_text())
    return body | {"coverage_permille": 500, "ramp": [500, 1000]} | changes


def _simple(key: str, event: str, point: str, **changes: Any) -> dict[str, Any]:
    action = {"kind": "render", "slot": point, "component": "none"}
    tip = action | {"component": "tip", "payload": {"copy": "Try this"}}
    body: dict[str, Any] = {
        "key": key, "kind": "experiment", "owner": "growth", "class": "low", "rollback_flag": f"ff_{key}",
        "trigger": {"event": event, "decision_point": point}, "coverage_permille": 1000, "ramp": [1000],
        "variants": [{"key": "A", "weight": 0.5, "action": action}, {"key": "B", "weight": 0.5, "action": tip}],
        "fallback_action": action, "exposure": "on_render",
        "outcomes": {"primary": {"event": "billing_intent", "within_hours": 168, "kind": "count"}},
    }  # fmt: skip
    return body | changes


def bodies() -> list[dict[str, Any]]:
    intent = {"event": "feature_used", "where": {"properties.name": "export"}}
    return [
        nudge(),
        _simple(DELAY, "feature_used", "tips.next", exposure="on_decision", timing={"delay_seconds": 3}),
        _simple(WAIT, "page_view", "plan.compare", holdout="global", timing={"wait_for": intent, "expires_seconds": 20}),
        _simple(SHADOW, "feature_used", "tips.shadow", mode="shadow"),
    ]


def catalogue_body() -> dict[str, Any]:
    body = DEFAULT_CATALOGUE.model_dump(mode="json")
    for point in ("tips.next", "plan.compare", "tips.shadow"):
        action = {"kind": "render", "slot": point, "component": "none"}
        body["decision_points"][point] = {"owner": "growth", "default_action": action}
    return body


class World:
    """topics: (contract's topic name, partition) -> its records; an input's offset is its index.
    changes: (table, partition) -> every row that was written, in order; value None deletes.

    lags_ms: by topic, how long after their arrival its records are consumed.
    """

    def __init__(
        self,
        start_ms: int,
        users: int = 60,
        seed: int = 7,
        seconds: int = SECONDS,
        lags_ms: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.start_ms = start_ms
        self.seconds = seconds
        self.random = random.Random(seed)
        self.users = [f"u-{i}" for i in range(users)]
        self.topics: dict[tuple[str, int], list[Stored]] = {}
        self.changes: dict[tuple[str, int], list[tuple[bytes, bytes | None]]] = {}
        self.ledger = Ledger()
        self.governance: list[Stored] = []
        self.governance_is_simulated = True
        self._governed: list[tuple[str, Drafter]] = []
        self._states: defaultdict[int, MemoryState] = defaultdict(MemoryState)
        self._events: list[tuple[int, int, str, bytes | None, bytes, int | None]] = []
        self._lags_ms = lags_ms
        self._behind: list[tuple[int, int, InputRecord]] = []
        self._arrivals = itertools.count()
        self._serial = 0
        self._snapshots: list[tuple[int, Policies]] = []
        self._write_governance()

    # -- governance

    def _write_governance(self) -> None:
        # The ledger's own first records have a time of their own: they are written again at this world's.
        self.ledger.entries.clear()
        self.ledger.fold = Fold(self.ledger.root)
        self.ledger.now_us = (self.start_ms - 60_000) * 1000
        for name, roles in PEOPLE.items():
            self.govern("root", register_key(self.ledger.public(name), name, roles))  # type: ignore[arg-type]
        self.govern("root", catalogue(catalogue_body()))
        for body in bodies():
            self.govern("ana", propose(body))
            self.govern("ben", approve(body["key"], 1))
            self.govern("otto", activate(body["key"], 1))
        self.govern("otto", ramp(NUDGE, 1000), after_ms=30_000)
        self.govern("otto", kill(SHADOW), after_ms=60_000)

    def govern(self, name: str, drafter: Drafter, after_ms: int | None = None) -> None:
        """after_ms: of the start of the signals; None: before them."""
        if after_ms is not None:
            self.ledger.now_us = (self.start_ms + after_ms) * 1000 - 1_000_000
        refusal = self.ledger.write(name, drafter)
        assert refusal is None, refusal
        _, at_us, raw = self.ledger.entries[-1]
        self.governance.append(Stored(at_us // 1000, None, raw))
        self._governed.append((name, drafter))
        self._snapshots.append((at_us // 1000, self.ledger.fold.policies()))

    def policies_at(self, ms: int) -> Policies:
        return [policies for at_ms, policies in self._snapshots if at_ms <= ms][-1]

    # -- inputs

    def signal(self, ms: int, user: str, name: str, **fields: Any) -> bytes:
        self._serial += 1
        event = {
            "event_name": name, "event_id": uuid_of(f"event{self._serial}"), "user_id": user, "session_id": f"s-{user}",
            "ts": format_us(ms * 1000 - 500), "properties": {}, "context": {"route": "/app/onboarding", "device": "web"},
        }  # fmt: skip
        return orjson.dumps(event | fields)

    def push(self, ms: int, topic: str, key: bytes | None, value: bytes, partition: int | None = None) -> None:
        self._serial += 1
        heapq.heappush(self._events, (ms, self._serial, topic, key, value, partition))

    def run(self) -> "World":
        self._fill()
        while self._events:
            ms, _, topic, key, value, partition = heapq.heappop(self._events)
            if ms < self.start_ms + self.seconds * 1000:
                place = partition_of((key or b"").decode(), self.producers_count(ms))
                self._arrive(ms, topic, key, value, place if partition is None else partition)
        self._catch_up(self.start_ms + 2 * self.seconds * 1000)
        return self

    def partitions_at(self, ms: int) -> int:
        return PARTITIONS

    def producers_count(self, ms: int) -> int:
        """How many partitions the one who sends at that time knows of."""
        return PARTITIONS

    def _arrive(self, ms: int, topic: str, key: bytes | None, value: bytes, partition: int) -> None:
        inputs = self.topics.setdefault((topic, partition), [])
        inputs.append(Stored(ms, key, value))
        record = InputRecord(topic, partition, len(inputs) - 1, ms * 1000, key, value)
        heapq.heappush(self._behind, (ms + self._lags_ms.get(topic, 0), next(self._arrivals), record))
        self._catch_up(ms)

    def _catch_up(self, until_ms: int) -> None:
        while self._behind and self._behind[0][0] <= until_ms:
            ms, _, record = heapq.heappop(self._behind)
            self._consume(ms, record)

    def _fill(self) -> None:
        for second in range(self.seconds):
            ms = self.start_ms + second * 1000
            for partition in range(self.partitions_at(ms)):
                self.push(ms, TICKS, None, b'{"schema":"truelift.tick/1"}', partition)
            for _ in range(4):
                self._random_signal(ms + self.random.randrange(1000))

    def _random_signal(self, ms: int) -> None:
        user, chance = self.random.choice(self.users), self.random.random()
        key = user.encode()
        if chance < 0.55:
            raw = self.signal(ms, user, "page_view", properties={"title": "Onboarding"})
            self.push(ms, "events.page_view", key, raw)
            if self.random.random() < 0.1:
                self.push(ms + 700, "events.page_view", key, raw)
        elif chance < 0.8:
            name = self.random.choice(["export", "invite_teammate"])
            self.push(ms, "events.feature_used", key, self.signal(ms, user, "feature_used", properties={"name": name}))
        elif chance < 0.9:
            raw = self.signal(ms, user, "activation_milestone", properties={"name": "project_created"})
            self.push(ms, "events.activation_milestone", key, raw)
        elif chance < 0.93:
            self.push(ms, "events.page_view", key, b"{not json")
        elif chance < 0.96:
            self.push(ms, "events.page_view", key, self.signal(ms, user, "no_such_type"))
        else:
            self.push(ms, "events.billing_intent", key, self.signal(ms, user, "billing_intent"))

    # -- the worker

    def _consume(self, ms: int, record: InputRecord) -> None:
        stale = STALE_FROM_MS <= ms - self.start_ms < STALE_TO_MS
        late_us = 400_000 if self.random.random() < 0.03 else 0
        moment = Moment(ms * 1000 + self.random.randrange(2_000, 40_000) + late_us, stale, PARTITIONS)
        policies = self.policies_at(ms - LAG_MS)
        if record.topic == "events.billing_intent" and self.random.random() < 0.3:
            self._append(process_poison(record, policies, moment).outputs, ms, record.partition)
            return
        state = self._states[record.partition]
        for step in process(record, state, policies, moment):
            state.store(step.writes)
            for write in step.writes:
                self.changes.setdefault((write.table, record.partition), []).append((write.key, write.value))
            self._append(step.outputs, ms, record.partition)

    def _append(self, outputs: Sequence[Output], ms: int, partition: int) -> None:
        for output in outputs:
            if output.partition is not None:  # a link: an input of another partition
                self.push(ms + HOP_MS, output.topic, output.key, output.value, output.partition)
                continue
            self.topics.setdefault((output.topic, partition), []).append(Stored(ms, output.key, output.value))
            if output.topic == JOURNAL:
                self._acknowledge(orjson.loads(output.value), ms)

    def _acknowledge(self, journal: dict[str, Any], ms: int) -> None:
        for decision in journal["decisions"]:
            if decision["action"] is None or decision["reason"] == "late_fallback" or self.random.random() < 0.3:
                continue
            wrong = self.random.random() < 0.1
            said = {
                "key": decision["policy"], "variant": "Z" if wrong else decision["variant"],
                "assignment_id": decision["assignment_id"], "rule_version": decision["rule_version"],
            }  # fmt: skip
            properties = {"surface": "web", "decision_to_render_ms": 12.5, "rendered_ts": format_us(ms * 1000 + 90_000)}
            at, user = ms + 120, journal["unit"]
            raw = self.signal(at, user, "experiment_exposure", experiment=said, properties=properties)
            self.push(at, "events.experiment_exposure", user.encode(), raw)

    # -- what tests do with it

    def copy(self) -> "World":
        """One whose records may be changed."""
        other = copy.copy(self)
        other.topics = {place: list(records) for place, records in self.topics.items()}
        other.changes = {place: list(rows) for place, rows in self.changes.items()}
        other.governance = list(self.governance)
        return other

    def governed_now(self) -> "World":
        """One whose governance is signed as of now, for a log that the broker's own clock times."""
        other = self.copy()
        other.governance_is_simulated = False
        other.ledger = ledger = copy.copy(self.ledger)
        ledger.entries, ledger.fold, ledger.now_us = [], Fold(self.root), time.time_ns() // 1000 - 60_000_000
        for name, drafter in self._governed:
            assert ledger.write(name, drafter) is None
        other.governance = [Stored(at_us // 1000, None, raw) for _, at_us, raw in ledger.entries]
        return other

    def journal(self, partition: int = 0) -> list[Stored]:
        return self.topics[JOURNAL, partition]

    def find(self, wanted: str, partition: int = 0, after: int = 0) -> int:
        """Index of the first journal record with this status or a decision with this reason."""
        for i, stored in enumerate(self.journal(partition)):
            body = orjson.loads(stored.value)
            if i >= after and (body["status"] == wanted or any(d["reason"] == wanted for d in body["decisions"])):
                return i
        raise AssertionError(f"no {wanted} in partition {partition}")

    def change(self, topic: str, partition: int, index: int, old: bytes, new: bytes) -> None:
        records = self.topics[topic, partition]
        assert old in records[index].value, records[index].value
        records[index] = records[index]._replace(value=records[index].value.replace(old, new, 1))

    @property
    def root(self) -> str:
        return self.ledger.root

    @property
    def journalled(self) -> int:
        return sum(len(records) for (topic, _), records in self.topics.items() if topic == JOURNAL)


def _simulated(spec: TopicSpec) -> TopicSpec:
    """With the times of the simulation in place of the broker's."""
    return spec._replace(configs=spec.configs | {"message.timestamp.type": "CreateTime"})


async def publish(world: World, settings: Settings) -> None:
    """Inputs in order; outputs in transactions, one of them aborted, as real workers leave them."""
    specs = [
        _simulated(spec) if spec.name != GOVERNANCE or world.governance_is_simulated else spec
        for spec in topic_specs(DEFAULT_CATALOGUE.event_types, 1_048_576)
    ]
    await ensure_topics(settings, specs)
    outputs = {"decisions", "exposures", "outcomes", "deadletter"}
    async with AIOKafkaProducer(**settings.kafka(), enable_idempotence=True) as producer:
        for stored in world.governance:
            await _send(producer, settings.topic(GOVERNANCE), 0, stored)
        for (topic, partition), records in world.topics.items():
            if topic not in outputs:
                for stored in records:
                    await _send(producer, settings.topic(topic), partition, stored)
    transactional = AIOKafkaProducer(**settings.kafka(), transactional_id=f"{settings.app_id}-publish", retry_backoff_ms=5)
    async with transactional as producer:
        places = [place for place in world.topics if place[0] in outputs]
        for abort in (True, False):
            await producer.begin_transaction()
            for topic, partition in places:
                records = world.topics[topic, partition]
                for stored in records[:5] if abort else records:
                    await _send(producer, settings.topic(topic), partition, stored)
            await (producer.abort_transaction() if abort else producer.commit_transaction())
    await _until_committed(settings, [TopicPartition(settings.topic(topic), partition) for topic, partition in places])


async def _until_committed(settings: Settings, places: list[TopicPartition]) -> None:
    """A commit is answered before its markers are in every partition."""
    kafka = settings.kafka()
    committed = AIOKafkaConsumer(**kafka, isolation_level="read_committed")
    written = AIOKafkaConsumer(**kafka, isolation_level="read_uncommitted")
    async with committed, written:
        while await committed.end_offsets(places) != await written.end_offsets(places):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, stored: Stored) -> None:
    await producer.send(topic, stored.value, stored.key, partition, stored.timestamp_ms)
