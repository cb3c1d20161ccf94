"""Signals of every kind through a worker process: what comes out is complete, and replays to the byte."""

import pytest

from app.contract.topics import DEADLETTER, EXPOSURES, OUTCOMES
from tests.worker.audit import audit, committed
from tests.worker.house import House
from tests.worker.journal import Journal
from tests.worker.process import WorkerProcess
from tests.worker.traffic import Traffic

pytestmark = pytest.mark.kafka


async def test_every_input_has_its_journal_record_and_all_of_it_replays_to_the_byte(
    house: House, worker: WorkerProcess, journal: Journal
) -> None:
    async with Traffic(house.settings, seed=1, journal=journal) as traffic:
        for _ in range(4):  # what was decided is acknowledged in the next burst
            await traffic.burst(150)
            await journal.until_has(traffic.sent)
        fired = ("expired", "late_fallback", "assigned", "sticky")
        await journal.until(
            lambda: any(entry.body["status"] == "fired" and set(entry.reasons()) & set(fired) for entry in journal.entries),
            20, "a fired timer",
        )  # fmt: skip
        assert await worker.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    assert found.clean, f"{found}\n{worker.log}"
    assert {"decided", "duplicate", "rejected", "exposed", "outcome", "fired", "no_match"} <= found.statuses.keys()
    assert {"sticky", "holdout", "shadow", "waiting", "delayed", "layer_excluded"} <= found.reasons.keys()
    topics = [house.settings.topic(name) for name in (EXPOSURES, OUTCOMES, DEADLETTER)]
    seen = {topic async for topic, *_ in committed(house.settings, topics)}
    assert seen == set(topics)
