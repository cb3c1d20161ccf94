"""A worker that sleeps past its session has no effect when it wakes; and the tests would see it if it had."""

import signal

import pytest

from tests.stream.counting import Run

pytestmark = pytest.mark.kafka

SMALL = {"fetch_records": 40, "max_epoch_records": 120, "session_timeout_seconds": 2.0}
FENCED = 75
# A worker that wakes inside the transaction sees its own deadline pass before it sees the broker's answer.
KAFKA = 69


async def take_over(run: Run, **faults: object) -> int:
    """A worker stops itself inside its 6th commit, another takes over and finishes, the first wakes; its exit code."""
    zombie = run.start(settings=SMALL, data_dir=str(run.folder / "zombie"), faults={"nth": 6, **faults})
    await run.produce(1500)
    await run.outputs(300)
    successor = run.start(settings=SMALL, data_dir=str(run.folder / "successor"))
    await run.outputs(1500)
    zombie.send_signal(signal.SIGCONT)
    code = await run.exit_code(zombie)
    await run.produce(200)
    await run.outputs(1700)
    assert await run.drain(successor) == 0
    return code


async def test_a_zombie_that_begins_a_transaction_is_fenced_by_its_generation(counter: Run) -> None:
    assert await take_over(counter, stop_at="before_begin") == FENCED
    assert (await counter.final()).exact


@pytest.mark.parametrize("point", ["before_offsets", "before_commit"])
async def test_a_zombie_that_wakes_inside_a_transaction_has_no_effect(counter: Run, point: str) -> None:
    assert await take_over(counter, stop_at=point) in (FENCED, KAFKA)
    assert (await counter.final()).exact


async def test_the_judge_sees_a_zombie_whose_group_metadata_is_blank(counter: Run) -> None:
    """Negative control: generation -1 and member "" are what aiokafka has after reset_generation(), and are not fenced."""
    zombie = counter.start(
        settings=SMALL,
        data_dir=str(counter.folder / "zombie"),
        faults={"nth": 6, "stop_at": "before_begin", "blank_group_metadata": True},
    )
    await counter.produce(1500)
    await counter.outputs(300)
    successor = counter.start(settings=SMALL, data_dir=str(counter.folder / "successor"))
    await counter.outputs(1500)
    zombie.send_signal(signal.SIGCONT)
    await counter.outputs(1501)
    assert counter.verdict().duplicated > 0
    assert await counter.drain(successor) == 0


async def test_a_static_worker_whose_identity_was_taken_does_not_take_it_back(counter: Run) -> None:
    settings = {**SMALL, "group_instance_id": "one"}
    zombie = counter.start(
        settings=settings, data_dir=str(counter.folder / "zombie"), faults={"nth": 6, "stop_at": "after_apply"}
    )
    await counter.produce(1500)
    await counter.outputs(300)
    successor = counter.start(settings=settings, data_dir=str(counter.folder / "successor"))
    await counter.outputs(1500)
    zombie.send_signal(signal.SIGCONT)
    assert await counter.exit_code(zombie) == FENCED
    await counter.produce(200)
    assert (await counter.final()).exact
    assert await counter.drain(successor) == 0
