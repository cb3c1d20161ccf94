"""No crash loses, repeats or miscounts anything; and the tests would see it if it did.

The engine room alone, a few kills of each kind. tests/worker/test_crashes kills the whole worker, often.
"""

import random

import pytest

from app.stream.faults import POINTS
from tests.stream.counting import Run

pytestmark = pytest.mark.kafka

# Many small transactions, so that a crash meets every state of one.
SMALL = {"fetch_records": 40, "max_epoch_records": 120}
# As short as the broker allows, with room for a slow machine.
SHORT_SESSION = {"session_timeout_seconds": 3.0}


@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_at_a_commit_point_leaves_everything_of_an_epoch_or_nothing(counter: Run, point: str) -> None:
    await counter.produce(1500)
    for nth in (1, 3):
        worker = counter.start(settings=SMALL, faults={"crash_at": point, "nth": nth})
        assert await counter.exit_code(worker) == -9
    worker = counter.start(settings=SMALL)
    assert (await counter.final()).exact
    assert await counter.drain(worker) == 0


async def kill_at_random(run: Run, rounds: int, records: int) -> None:
    chance = random.Random(7)
    for _ in range(rounds):
        await run.produce(records)
        worker = run.start(settings=SMALL)
        await run.outputs(len(run.seen) + chance.randrange(records))
        run.kill(worker)
    worker = run.start(settings=SMALL)
    assert (await run.final()).exact
    assert await run.drain(worker) == 0


async def test_kills_at_random_moments_lose_and_repeat_nothing(counter: Run) -> None:
    await kill_at_random(counter, rounds=4, records=1500)


async def kill_one_of_two(run: Run, rounds: int, records: int) -> None:
    chance = random.Random(11)
    options = [{"settings": {**SMALL, "group_instance_id": f"w{number}"}} for number in range(2)]
    workers = [run.start(**each) for each in options]
    for _ in range(rounds):
        await run.produce(records)
        await run.outputs(min(len(run.sent), len(run.seen) + chance.randrange(records)))
        victim = chance.randrange(2)
        run.kill(workers[victim])
        workers[victim] = run.start(**options[victim])
    assert (await run.final()).exact
    assert [await run.drain(worker) for worker in workers] == [0, 0]


async def test_one_of_two_workers_is_killed_and_replaced(counter: Run) -> None:
    await kill_one_of_two(counter, rounds=2, records=2000)


async def test_the_partitions_of_a_killed_worker_go_to_the_other_one(counter: Run) -> None:
    settings = {**SMALL, **SHORT_SESSION}
    first = counter.start(settings=settings, data_dir=str(counter.folder / "a"))
    second = counter.start(settings=settings, data_dir=str(counter.folder / "b"))
    await counter.produce(1000)
    await counter.outputs(1000)
    counter.kill(first)
    await counter.produce(1000)
    assert (await counter.final()).exact
    assert await counter.drain(second) == 0


async def test_the_judge_sees_a_store_that_was_written_before_the_commit(counter: Run) -> None:
    """Negative control: the mistake that the order of the commit rules out.

    Every group has committed before the crash; one that has not would refuse to start with state and no offsets.
    """
    await counter.produce(1500)
    faults = {"crash_at": "before_commit", "nth": 8, "apply_before_commit": True}
    assert await counter.exit_code(counter.start(settings=SMALL, faults=faults)) == -9
    worker = counter.start(settings=SMALL)
    verdict = await counter.final()
    assert verdict.wrong > 0
    assert await counter.drain(worker) == 0
