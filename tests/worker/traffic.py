"""What clients send: signals of every kind, repeated ones, bad ones, and acknowledgements of what was decided. Seeded.

The choice of records is the seed's; event ids are too, so that one input is known again wherever it turns up.
"""

import asyncio
import itertools
import random
import time
import uuid
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaProducer

from app.contract.times import format_us
from app.contract.topics import EXPERIMENT_EXPOSURE, event_topic
from app.settings import Settings
from tests.worker.journal import Entry, Input, Journal

KINDS = (
    ("page_view", 10), ("feature_used", 6), ("error_or_latency", 3), ("activation_milestone", 2), ("billing_intent", 2),
    ("flag_evaluation", 1), ("repeat", 2), ("malformed", 1), ("acknowledgement", 3),
)  # fmt: skip
PROPERTIES = {
    "activation_milestone": {"name": "invite_sent"},
    "feature_used": {"name": "invite_teammate"},
    "billing_intent": {"name": "plan_compare_opened", "amount": 12.5},
}
MAX_REQUEST_BYTES = 4 << 20
MALFORMED = (b"{", b"[1]", b"\xff\xfe", b'{"event_name": "page_view"}', b"")


def envelope(event_name: str, user: str | None, event_id: str | None = None, **fields: Any) -> dict[str, Any]:
    """A sound signal of now."""
    return {
        "event_name": event_name,
        "event_id": event_id or str(uuid.uuid4()),
        "user_id": user,
        "session_id": f"s-{user}",
        "ts": format_us(time.time_ns() // 1000),
        "properties": PROPERTIES.get(event_name, {}),
        "context": {"route": "/app/onboarding", "device": "web"},
    } | fields


def acknowledgement(unit: str, decision: dict[str, Any], **experiment: Any) -> dict[str, Any]:
    """That the slot of `decision` was rendered."""
    shown = {
        "key": decision["policy"],
        "variant": decision["variant"],
        "assignment_id": decision["assignment_id"],
        "rule_version": decision["rule_version"],
    }
    return envelope(
        "experiment_exposure", unit,
        experiment=shown | experiment, governance={"owner": "growth", "rollback_flag": f"ff_{decision['policy']}"},
        properties={"surface": "page", "rendered_ts": format_us(time.time_ns() // 1000), "decision_to_render_ms": 40.5},
    )  # fmt: skip


class Traffic:
    """Use as an async context manager. `sent` holds the place of every acknowledged input."""

    def __init__(self, settings: Settings, seed: int, users: int = 60, journal: Journal | None = None) -> None:
        """journal: where the client reads what it acknowledges; without it nothing is acknowledged."""
        self.sent: set[Input] = set()
        self._settings = settings
        self._random = random.Random(seed)
        self._users = [f"u-{number}" for number in range(users)]
        self._last: list[tuple[str, dict[str, Any]]] = []
        self._shown: list[tuple[str, dict[str, Any]]] = []
        self._stop = asyncio.Event()
        if journal is not None:
            journal.each(self._read)

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            **self._settings.kafka(), acks="all", enable_idempotence=True, max_request_size=MAX_REQUEST_BYTES
        )
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def send(self, event_name: str, value: dict[str, Any] | bytes, key: str | None = None) -> Input:
        """One record: where it is."""
        topic = event_topic(event_name)
        raw = value if isinstance(value, bytes) else orjson.dumps(value)
        unit = key if key is not None or isinstance(value, bytes) else value["user_id"]
        sent = await self._producer.send_and_wait(self._settings.topic(topic), key=unit and unit.encode(), value=raw)
        place = (topic, sent.partition, sent.offset)
        self.sent.add(place)
        return place

    async def burst(self, count: int) -> None:
        """`count` records of every kind, as fast as they go."""
        await asyncio.gather(*(self.send(*record) for record in itertools.islice(self._records(), count)))

    async def steady(self, rate: int) -> None:
        """Records of every kind at `rate` a second, until `end`; returns when the last is acknowledged."""
        began, step, records = time.monotonic(), 0, self._records()
        sending: set[asyncio.Task[Input]] = set()
        while not self._stop.is_set():
            step += 1
            task = asyncio.create_task(self.send(*next(records)))
            sending.add(task)
            task.add_done_callback(sending.discard)
            await asyncio.sleep(max(0.0, began + step / rate - time.monotonic()))
        await asyncio.gather(*sending)

    def end(self) -> None:
        self._stop.set()

    # -- what is sent

    def _records(self) -> Any:
        names, weights = zip(*KINDS, strict=True)
        while True:
            yield self._record(self._random.choices(names, weights)[0])

    def _record(self, kind: str) -> tuple[str, dict[str, Any] | bytes, str | None]:
        user = self._random.choice(self._users)
        if kind == "malformed":
            return "page_view", self._random.choice(MALFORMED), user
        if kind == "repeat" and self._last:
            return (*self._random.choice(self._last), None)
        if kind == "acknowledgement" and self._shown:
            unit, decision = self._random.choice(self._shown)
            wrong = {"variant": "Z"} if self._random.random() < 0.2 else {}
            return EXPERIMENT_EXPOSURE.removeprefix("events."), acknowledgement(unit, decision, **wrong), unit
        event_name = kind if kind not in ("repeat", "acknowledgement") else "page_view"
        event = envelope(event_name, user, str(uuid.UUID(int=self._random.getrandbits(128), version=4)))
        self._last = [*self._last[-20:], (event_name, event)]
        return event_name, event, user

    def _read(self, entry: Entry) -> None:
        for decision in entry.body["decisions"]:
            if decision["action"] is not None and decision["variant"] is not None:
                self._shown = [*self._shown[-50:], (entry.body["unit"], decision)]
