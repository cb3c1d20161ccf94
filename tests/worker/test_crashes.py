"""Workers that die at any moment lose nothing and do nothing twice.

`pytest -s` shows how soon work goes on after each restart; a figure of the machine is no test.
"""

from collections.abc import Callable

import pytest

from app.stream.faults import POINTS
from tests.worker.audit import audit
from tests.worker.conftest import MakeWorker
from tests.worker.house import House
from tests.worker.journal import Journal
from tests.worker.process import WorkerProcess
from tests.worker.siege import Siege
from tests.worker.traffic import Traffic

pytestmark = pytest.mark.kafka

SEED = 20_261_123

MakeWorkers = Callable[[int], list[WorkerProcess]]


@pytest.fixture
def make_workers(make_worker: MakeWorker) -> MakeWorkers:
    """Static members, as workers are deployed: the replacement is let in at once."""
    return lambda count: [make_worker(group_instance_id=f"w-{number}") for number in range(count)]


async def besiege(house: House, journal: Journal, workers: list[WorkerProcess], at_random: int, at_each_point: int) -> None:
    """Kills, then the audit."""
    async with Traffic(house.settings, SEED, journal=journal) as traffic:
        async with Siege(traffic, journal, workers, SEED) as siege:
            await siege.die_at_random(at_random)
            for point in POINTS:
                await siege.die_at(point, at_each_point)
            await siege.finish()
        found = await audit(house.settings, journal, traffic.sent, [worker.directory for worker in workers])
    assert found.clean, str(found)
    siege.report(f"{len(workers)} workers, {len(traffic.sent)} inputs")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
async def test_20_kills_at_random_and_10_at_each_commit_point_lose_nothing_and_do_nothing_twice(
    house: House, journal: Journal, make_workers: MakeWorkers, count: int
) -> None:
    await besiege(house, journal, make_workers(count), at_random=20, at_each_point=10)


async def test_a_store_written_before_the_commit_is_found_by_the_same_audit(
    house: House, journal: Journal, make_workers: MakeWorkers
) -> None:
    """The negative control: with the mistake that the design rules out, the audit must fail."""
    (worker,) = make_workers(1)
    async with Traffic(house.settings, SEED, journal=journal) as traffic:
        async with Siege(traffic, journal, [worker], SEED) as siege:
            await siege.die_at("before_commit", 3, apply_before_commit=True)
            await siege.finish()
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    assert not found.clean
    assert found.verify.counts["different"], str(found)
    assert found.wrong_rows, str(found)
