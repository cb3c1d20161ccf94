"""The processes of these tests, what is asked of them, and what is then in the topics."""

import time
import uuid
from typing import Any, NamedTuple

import httpx
from aiokafka import AIOKafkaProducer

from app.chaos.worker import WorkerProcess
from app.contract.partitions import partition_of
from app.contract.times import format_us
from app.contract.topics import DECISION_DELIVERY, JOURNAL
from tests.edge.process import EdgeProcess, Stored, stored

WAIT_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.05


class Site(NamedTuple):
    """Two edges, one worker."""

    worker: WorkerProcess
    edge: EdgeProcess
    other: EdgeProcess

    def wait_until_serving(self) -> None:
        """Until a request to each edge is answered with committed decisions: worker, appender and replies are all there."""
        for edge in (self.edge, self.other):
            edge.wait_for(lambda status: status.get("kafka") == "direct" and status["replies"]["listening"])
            deadline = time.monotonic() + WAIT_SECONDS
            while self.ask(edge, user_id="warm-up", deadline_ms=2_000)["source"] != "journal":
                assert time.monotonic() < deadline, (edge.log, self.worker.log)

    def ask(self, edge: EdgeProcess, deadline_ms: int = 10_000, **event: Any) -> dict[str, Any]:
        answer = httpx.post(f"{edge.url}/v1/decide", json=question(deadline_ms, **event), auth=("tlp_of-the-tests", ""))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def journal(self, event_id: str) -> dict[str, Any]:
        """The one journal record of the signal, waited for."""
        (found,) = await self.found(JOURNAL, lambda record: record.value["input"]["event_id"] == event_id, 1)
        return found.value

    async def deliveries(self, event_id: str, count: int = 2) -> list[dict[str, Any]]:
        """What the edge says it served for the signal, one for each policy."""
        found = await self.found(
            DECISION_DELIVERY, lambda record: record.value["properties"]["signal_event_id"] == event_id, count
        )
        assert all(record.partition == partition_of(record.key or "", 2) for record in found)
        return [record.value for record in found]

    async def found(self, topic: str, wanted: Any, count: int) -> list[Stored]:
        deadline = time.monotonic() + WAIT_SECONDS
        while len(found := [record for record in await stored(self.edge.settings, topic) if wanted(record)]) < count:
            assert time.monotonic() < deadline, (topic, found, self.worker.log[-2_000:], self.edge.log[-2_000:])
        assert len(found) == count
        return found

    async def append(self, event: dict[str, Any], headers: list[tuple[str, bytes]]) -> None:
        """A signal as no edge writes it, by somebody who may write to the topic."""
        import orjson

        async with AIOKafkaProducer(**self.edge.settings.kafka()) as producer:
            topic = self.edge.settings.topic(f"events.{event['event_name']}")
            place = partition_of(event["user_id"], 2)
            await producer.send_and_wait(topic, orjson.dumps(event), event["user_id"].encode(), place, headers=headers)


def signal(user_id: str = "u-1", **more: Any) -> dict[str, Any]:
    """A page view that triggers two policies: the nudge, live, and the hero, a shadow."""
    now = format_us(time.time_ns() // 1_000)
    context = {"route": "/app/onboarding", "device": "web"}
    return {
        "event_name": "page_view", "event_id": str(uuid.uuid4()), "user_id": user_id, "ts": now, "context": context,
    } | more  # fmt: skip


def question(deadline_ms: int | None = 10_000, **event: Any) -> dict[str, Any]:
    return {"event": signal(**event), "deadline_ms": deadline_ms}


def of_policy(answer: dict[str, Any], policy: str) -> dict[str, Any]:
    (decision,) = [decision for decision in answer["decisions"] if decision["policy"] == policy]
    return dict(decision)
