"""The other side of the decisions: a client that reads the journal as it is committed, renders the slots and acknowledges them.

Every arm by the same code, the control's empty slot too. Of the assignments some are acknowledged twice, some never, some as
another variant than the decided one: what becomes of each is counted afterwards. Which ones is a hash of the assignment.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.contract.ids import uuid_of
from app.contract.policy import Policy
from app.contract.times import format_us, milliseconds, parse_us
from app.contract.topics import EXPERIMENT_EXPOSURE, JOURNAL
from app.demo.tally import Tally
from app.latency import Latencies
from app.settings import Settings

POLL_MS = 200
MAX_RECORDS = 2_000
LINGER_MS = 2
# Decisions that show the variant. A late fallback shows none, so there is nothing to acknowledge.
SERVED = frozenset({"assigned", "sticky", "non_experimental"})

Behaviour = Literal["once", "twice", "repeated", "never", "wrong"]
# Up to which hundredth of the assignments. twice: two acknowledgements; repeated: the same one again, as a retry sends it.
_BEHAVIOURS: tuple[tuple[int, Behaviour], ...] = ((80, "once"), (85, "twice"), (89, "repeated"), (95, "never"), (100, "wrong"))


def behaviour(assignment_id: str) -> Behaviour:
    """A UUIDv5's digits are a hash already."""
    hundredth = int(assignment_id[:8], 16) % 100
    return next(kind for bound, kind in _BEHAVIOURS if hundredth < bound)


class Rendered(NamedTuple):
    """A slot of a decision, on a user's screen."""

    unit: str
    session_id: str | None
    decision: dict[str, Any]
    decided_us: int


class Client:
    """run() until cancelled. sent: acknowledgements; behaved: assignments by behaviour; progress: told after each batch."""

    def __init__(self, settings: Settings, policies: Mapping[str, Policy], tally: Tally) -> None:
        self._settings = settings
        self._policies = policies
        self._acknowledged: set[str] = set()
        self.tally = tally
        self.latencies = Latencies()
        self.sent = 0
        self.behaved: Counter[Behaviour] = Counter()
        self.last_decided_us = 0
        self.progress = asyncio.Condition()

    async def run(self) -> None:
        consumer = AIOKafkaConsumer(**self._settings.kafka(), isolation_level="read_committed", enable_auto_commit=False)
        producer = AIOKafkaProducer(**self._settings.kafka(), enable_idempotence=True, acks="all", linger_ms=LINGER_MS)
        async with consumer, producer:
            journal = self._settings.topic(JOURNAL)
            partitions = [TopicPartition(journal, partition) for partition in range(self._settings.partitions)]
            consumer.assign(partitions)
            for partition in partitions:
                consumer.seek(partition, 0)
            while True:
                batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
                arrived_us = time.time_ns() // 1_000
                for messages in batches.values():
                    for message in messages:
                        await self._take(orjson.loads(message.value), arrived_us, producer)
                async with self.progress:
                    self.progress.notify_all()

    async def _take(self, record: dict[str, Any], arrived_us: int, producer: AIOKafkaProducer) -> None:
        self.tally.take(record)
        self.latencies.take_journal_body(record)
        self.latencies.take_journal_body(record, arrived_us)
        self.last_decided_us = decided_us = parse_us(record["latency"]["decided_ts"])
        for decision in record["decisions"]:
            if self._is_shown(decision):
                await self._render(Rendered(record["unit"], record["session_id"], decision, decided_us), producer)

    def _is_shown(self, decision: dict[str, Any]) -> bool:
        """A slot is acknowledged when it is first shown; an SDK remembers that as well."""
        return (
            decision["reason"] in SERVED
            and self._policies[decision["policy"]].exposure == "on_render"
            and decision["assignment_id"] not in self._acknowledged
        )

    async def _render(self, shown: Rendered, producer: AIOKafkaProducer) -> None:
        assignment_id = shown.decision["assignment_id"]
        self._acknowledged.add(assignment_id)
        kind = behaviour(assignment_id)
        self.behaved[kind] += 1
        if kind == "never":
            return
        variant = shown.decision["variant"]
        if kind == "wrong":
            variants = [variant.key for variant in self._policies[shown.decision["policy"]].variants]
            variant = next(key for key in variants if key != variant)
        first = self._acknowledgement(shown, variant, 1)
        values = [first]
        if kind == "twice":
            values.append(self._acknowledgement(shown, variant, 2))
        elif kind == "repeated":
            values.append(first)
        for value in values:
            await producer.send(self._settings.topic(EXPERIMENT_EXPOSURE), key=shown.unit.encode(), value=value)
            self.sent += 1

    def _acknowledgement(self, shown: Rendered, variant: str, ordinal: int) -> bytes:
        decision = shown.decision
        policy = self._policies[decision["policy"]]
        anonymous = shown.unit.startswith("anon:")
        now_us = time.time_ns() // 1_000
        event = {
            "event_name": "experiment_exposure",
            "event_id": uuid_of(f"demo/{decision['assignment_id']}/{ordinal}"),
            "user_id": None if anonymous else shown.unit,
            "anonymous_id": shown.unit.removeprefix("anon:") if anonymous else None,
            "session_id": shown.session_id,
            "ts": format_us(now_us),
            "context": {"route": "/app", "device": "web", "locale": "en-US"},
            "experiment": {
                "key": decision["policy"],
                "variant": variant,
                "assignment_id": decision["assignment_id"],
                "rule_version": decision["rule_version"],
            },
            "governance": {"owner": policy.owner, "rollback_flag": policy.rollback_flag},
            "properties": {
                "surface": decision["action"]["slot"],
                "rendered_ts": format_us(now_us),
                # One machine, one clock: so it can be counted from the decision itself, the way to the client included.
                "decision_to_render_ms": milliseconds(now_us - shown.decided_us),
            },
        }
        return orjson.dumps(event)
