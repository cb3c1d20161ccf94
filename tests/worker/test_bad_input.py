"""Bad input of every kind through Kafka: rejected, dead-lettered with its bytes, and the next record is served."""

import base64
from typing import Any

import orjson
import pytest

from app.contract.topics import DEADLETTER
from app.settings import Settings
from tests.worker.audit import audit, committed
from tests.worker.conftest import MakeWorker
from tests.worker.house import House
from tests.worker.journal import Input, Journal
from tests.worker.process import WorkerProcess
from tests.worker.traffic import Traffic, acknowledgement, envelope

pytestmark = pytest.mark.kafka

MEBIBYTE = 1 << 20
DEEP = b'{"event_name": "page_view", "properties": ' + b"[" * 200 + b"]" * 200 + b"}"
NOT_ASSIGNED = {
    "policy": "onboarding_nudge_v1",
    "variant": "A",
    "assignment_id": "6f1f8c1e-0d0e-5c55-9a51-0f6d3a0b7a11",
    "rule_version": 1,
}

# what it is -> (topic's event name, value, key, the code of its rejection)
BAD: dict[str, tuple[str, dict[str, Any] | bytes, str | None, str]] = {
    "half a JSON": ("page_view", b'{"event_name": "page', "u-1", "malformed_json"),
    "no UTF-8": ("page_view", b"\xff\xfe\x00", "u-1", "malformed_json"),
    "nothing": ("page_view", b"", "u-1", "malformed_json"),
    "a list": ("page_view", b"[1, 2]", "u-1", "not_an_object"),
    "too deep": ("page_view", DEEP, "u-1", "too_deep"),
    "no event id": ("feature_used", b'{"event_name": "feature_used", "user_id": "u-1"}', "u-1", "missing_field"),
    "a number for a name": ("page_view", envelope("page_view", "u-1", session_id=7), "u-1", "invalid_field"),
    "a time without an offset": ("page_view", envelope("page_view", "u-1", ts="2026-11-22T10:15:30"), "u-1", "invalid_field"),
    "a future time": ("page_view", envelope("page_view", "u-1", ts="2099-01-01T00:00:00Z"), "u-1", "future_ts"),
    "an ancient time": ("page_view", envelope("page_view", "u-1", ts="1999-01-01T00:00:00Z"), "u-1", "ancient_ts"),
    "nobody": ("page_view", envelope("page_view", None), "u-1", "missing_user"),
    "a reserved user id": ("page_view", envelope("page_view", "anon:x"), "anon:x", "reserved_user_id"),
    "another type's topic": ("page_view", envelope("feature_used", "u-1"), "u-1", "wrong_topic"),
    "another user's key": ("page_view", envelope("page_view", "u-1"), "u-2", "key_mismatch"),
    "an unknown type": ("page_view", envelope("no_such_type", "u-1"), "u-1", "unknown_event_type"),
    "too large": ("page_view", envelope("page_view", "u-1", properties={"x": "y" * MEBIBYTE}), "u-1", "oversized"),
    "an unknown assignment": (
        "experiment_exposure", acknowledgement("u-1", NOT_ASSIGNED), "u-1", "unknown_assignment",
    ),
}  # fmt: skip


async def dead_letters(settings: Settings) -> dict[Input, dict[str, Any]]:
    found = {}
    async for _, _, _, _, value in committed(settings, [settings.topic(DEADLETTER)]):
        letter = orjson.loads(value)
        source = letter["source"]
        found[source["topic"], source["partition"], source["offset"]] = letter
    return found


async def test_bad_input_is_rejected_with_its_code_and_bytes_and_the_next_record_is_served(
    house: House, journal: Journal, worker: WorkerProcess
) -> None:
    async with Traffic(house.settings, seed=5) as traffic:
        places, next_ones = {}, []
        for what, (event_name, value, key, _) in BAD.items():
            places[what] = await traffic.send(event_name, value, key)
            next_ones.append(await traffic.send("page_view", envelope("page_view", "u-1")))
        await journal.until_has(traffic.sent)
        assert await worker.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    letters = await dead_letters(house.settings)
    assert {what: (journal.of(place).body["status"], letters[place]["reason"]) for what, place in places.items()} == {
        what: ("rejected", code) for what, (*_, code) in BAD.items()
    }
    for what, place in places.items():
        value = BAD[what][1]
        raw = value if isinstance(value, bytes) else orjson.dumps(value)
        assert base64.b64decode(letters[place]["original_base64"]) == raw, what
        assert not journal.of(place).body["poison"]
    assert {journal.of(place).body["status"] for place in next_ones} == {"decided"}
    assert found.clean, str(found)


async def test_a_record_on_which_the_code_fails_is_set_aside_and_its_neighbours_are_not_harmed(
    house: House, journal: Journal, make_worker: MakeWorker
) -> None:
    worker = make_worker().start(raise_on="boom")
    async with Traffic(house.settings, seed=6, journal=journal) as traffic:
        await traffic.burst(40)
        poison = [
            await traffic.send("page_view", envelope("page_view", user, properties={"title": "boom"}))
            for user in ("u-1", "u-2", "u-3")
        ]
        await traffic.burst(40)
        await journal.until_has(traffic.sent)
        assert await worker.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    letters = await dead_letters(house.settings)
    for place in poison:
        body = journal.of(place).body
        assert (body["status"], body["poison"], letters[place]["reason"]) == ("rejected", True, "poison")
    assert sum(entry.body["poison"] for entry in journal.entries) == len(poison)
    assert found.clean, str(found)


async def test_too_many_poison_records_stop_their_partition_alone_and_a_mended_worker_goes_on(
    house: House, journal: Journal, make_worker: MakeWorker
) -> None:
    worker = make_worker().start(raise_on="boom")
    async with Traffic(house.settings, seed=7) as traffic:
        bad = [await traffic.send("page_view", envelope("page_view", "u-1", properties={"title": "boom"})) for _ in range(15)]
        (stopped,) = {partition for _, partition, _ in bad}
        sound = [await traffic.send("page_view", envelope("page_view", f"u-{number}")) for number in range(40)]
        elsewhere = {place for place in sound if place[1] != stopped}
        await journal.until_has(elsewhere)
        await journal.until(lambda: "STOPPED" in worker.log, 20, "the stop of the partition")
        status = await worker.status()
        assert not status["healthy"]
        assert [number for number, of in status["partitions"].items() if of["state"] == "stopped"] == [str(stopped)]
        await worker.kill()

        mended = worker.start()
        await journal.until_has(traffic.sent)
        assert await mended.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    assert found.clean, str(found)
