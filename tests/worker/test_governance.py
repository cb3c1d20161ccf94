"""The governance log as workers obey it: at the next record, never back, and only what is signed and legal."""

from typing import Any

import pytest

from app.contract.catalogue import EventType
from app.contract.topics import topic_specs
from app.governance import drafts
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
