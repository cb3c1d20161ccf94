"""The governance log as workers obey it: at the next record, never back, and only what is signed and legal."""

from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from app.contract.catalogue import EventType
from app.contract.topics import GOVERNANCE, topic_specs
from app.governance import drafts
from app.governance.keys import create_key
from app.governance.records import Record
from app.governance.signatures import sign
from app.stream.admin import ensure_topics
from tests.worker.audit import audit
from tests.worker.house import House
from tests.worker.journal import Entry, Journal
from tests.worker.policies import NUDGE, catalogue, policy
from tests.worker.process import WorkerProcess
from tests.worker.traffic import Traffic, envelope

pytestmark = pytest.mark.kafka


def nudged(entry: Entry) -> list[dict[str, Any]]:
    return [decision for decision in entry.body["decisions"] if decision["policy"] == NUDGE]


async def test_a_kill_takes_effect_at_the_next_record_and_never_goes_back(
    house: House, journal: Journal, worker: WorkerProcess
) -> None:
    async with Traffic(house.settings, seed=2, journal=journal) as traffic:
        await traffic.burst(100)
        await journal.until_has(traffic.sent)
        assert any(entry.treats() for entry in journal.entries)

        kill = await house.write(drafts.kill(NUDGE))
        await journal.until_has({await traffic.send("page_view", envelope("page_view", f"new-{n}")) for n in range(50)})
        by_kill = [entry for entry in journal.entries if entry.body["governance_offset"] >= kill.offset]
        assert by_kill, "nothing was decided by the kill"
        assert {decision["reason"] for entry in by_kill for decision in nudged(entry)} == {"killed"}

        # A worker that starts anew has read at least as much of the log before its first record.
        await worker.kill()
        known = len(journal.entries)
        worker.start()
        await journal.until_has({await traffic.send("page_view", envelope("page_view", f"later-{n}")) for n in range(20)})
        assert all(entry.body["governance_offset"] >= kill.offset for entry in journal.entries[known:])
        assert await worker.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    assert found.clean, str(found)


async def test_a_record_that_is_unsigned_wrongly_signed_or_illegal_is_ignored_and_counted(
    house: House, journal: Journal, worker: WorkerProcess
) -> None:
    state = house.ann.fold.state
    kill = drafts.kill(NUDGE)(state)
    stranger = create_key(house.settings, "stranger")

    def record(key_id: str, seq: int = state.seq + 1) -> Record:
        return Record(
            seq, state.head_hash, kill.type, kill.policy, kill.rule_version, kill.body,
            "ann", "operator", "forged", "2026-11-22T10:15:30.123456Z", key_id, "",
        )  # fmt: skip

    known = next(iter(key_id for key_id, key in state.keys.items() if key.actor == "ann"))
    forged = [
        b"not even JSON",
        record(known).raw(),
        sign(record(known), stranger.private_key).raw(),
        sign(record(stranger.key_id), stranger.private_key).raw(),
        sign(record(known, seq=99), stranger.private_key).raw(),
    ]
    async with Traffic(house.settings, seed=3) as traffic, AIOKafkaProducer(**house.settings.kafka()) as producer:
        await traffic.burst(20)
        await journal.until_has(traffic.sent)
        last = None
        for raw in forged:
            last = await producer.send_and_wait(house.settings.topic(GOVERNANCE), value=raw, partition=0)
        assert last is not None
        after = [await traffic.send("page_view", envelope("page_view", f"after-{number}")) for number in range(40)]
        await journal.until_has(after)
        reasons = {decision["reason"] for source in after for decision in nudged(journal.of(source))}
        assert "killed" not in reasons
        assert {"assigned", "holdout"} <= reasons | {"late_fallback"}

        status = await worker.status()
        assert status["healthy"], status
        assert status["governance"]["offset"] >= last.offset
        assert sum(status["governance"]["ignored"].values()) == len(forged), status["governance"]
        assert {"not_json", "unknown_key"} & status["governance"]["ignored"].keys(), status["governance"]
        assert await worker.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    assert found.clean, str(found)


async def test_the_worker_serves_a_new_event_type_after_a_clean_drain_in_the_same_process(
    house: House, journal: Journal, worker: WorkerProcess
) -> None:
    known = catalogue()
    wider = known.model_copy(
        update={
            "event_types": {**known.event_types, "search_made": EventType.model_validate({"budget_ms": 2000, "class": "low"})},
            "decision_points": {**known.decision_points, "search.box": known.decision_points["tips.next"]},
        }
    )
    async with Traffic(house.settings, seed=4, journal=journal) as traffic:
        await traffic.burst(50)
        await journal.until_has(traffic.sent)
        assert worker.process is not None
        pid = worker.process.pid

        await house.write(drafts.catalogue(wider.model_dump(mode="json")))
        await house.activate(policy("searchers", "search_made", "search.box", mode="shadow"))
        # Not before its topic is there: until then the worker goes on with what it serves.
        await journal.until_has([await traffic.send("page_view", envelope("page_view", "u-1"))])
        await ensure_topics(house.settings, topic_specs(wider.event_types, wider.bounds.max_record_bytes))
        made = [await traffic.send("search_made", envelope("search_made", f"u-{number}")) for number in range(20)]
        await traffic.burst(50)
        await journal.until_has(traffic.sent, 60)
        assert {journal.of(source).body["status"] for source in made} == {"decided"}
        assert worker.process.pid == pid
        assert worker.running
        assert await worker.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    assert found.clean, f"{found}\n{worker.log}"
    assert "search_made" in worker.log
