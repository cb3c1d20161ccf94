"""`truelift worker --respawn`: a killed worker's work goes on without anybody's help. `pytest -s` shows how soon."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from app.stream.child import Child, truelift
from tests.worker.audit import audit
from tests.worker.conftest import MakeWorker
from tests.worker.house import House
from tests.worker.journal import Journal
from tests.worker.process import environment
from tests.worker.traffic import Traffic

pytestmark = pytest.mark.kafka

KILLS = 3
SERVED_SECONDS = 30.0


async def test_a_killed_worker_is_back_and_nothing_is_lost_or_done_twice(
    house: House, journal: Journal, make_worker: MakeWorker, tmp_path: Path
) -> None:
    settings = make_worker(group_instance_id="w-0").settings
    parent = Child("worker", truelift("worker", "--respawn"), environment(settings), tmp_path / "parent.log").start()
    seconds = []
    async with Traffic(house.settings, seed=4, journal=journal) as traffic:
        await traffic.burst(50)
        await journal.until_has(traffic.sent)
        for _ in range(KILLS):
            killed_at = time.time()
            os.kill(_only_child(parent.process.pid), signal.SIGKILL)
            await traffic.burst(50)
            await journal.until_has(traffic.sent, SERVED_SECONDS)
            seconds.append(min(entry.arrived_at for entry in journal.entries if entry.decided_at > killed_at) - killed_at)
        assert parent.running
        parent.signal(signal.SIGTERM)
        assert await parent.ended(30) == 0, parent.log
        found = await audit(house.settings, journal, traffic.sent, [make_worker(group_instance_id="w-0").directory])
    assert found.clean, f"{found}\n{parent.log}"
    assert parent.log.count("the worker ended (SIGKILL): starting it again") == KILLS
    sys.stdout.write(f"after SIGKILL decisions go on after {', '.join(f'{figure:.2f}' for figure in seconds)} s\n")


def _only_child(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
