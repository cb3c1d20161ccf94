"""What ends a start with one clear line, and how a worker stops."""

import time

import pytest

from app.settings import Settings
from app.stream import StreamSettings
from tests.stream.counting import Run, counter_run, until

pytestmark = pytest.mark.kafka

DRAIN_SECONDS = StreamSettings.drain_timeout_seconds


async def refused(run: Run, **options: object) -> str:
    """The error line of a worker that must not start."""
    assert await run.exit_code(run.start(**options)) == 2
    lines = [line for line in run.log().splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in run.log()
    return lines[0]


async def test_a_missing_output_topic_is_named(counter: Run) -> None:
    assert "missing topic nowhere" in await refused(counter, out="nowhere")


async def test_inputs_of_different_partition_counts_are_named(settings: Settings) -> None:
    async with counter_run(settings.bootstrap(), settings.app_id, settings.data_dir, second=3) as run:
        assert f"{run.second} has 3, not 4" in await refused(run)


async def test_an_output_of_another_partition_count_than_declared_is_named(counter: Run) -> None:
    assert f"{counter.out} has 4, not 8" in await refused(counter, out_partitions=8)


async def test_a_changelog_of_another_partition_count_is_named(settings: Settings) -> None:
    async with counter_run(settings.bootstrap(), settings.app_id, settings.data_dir) as run:
        await run.create_topic(run.changelog, 2)
        assert f"{run.changelog} has 2, not 4" in await refused(run)


async def test_concurrency_is_refused_with_what_to_do_instead(counter: Run) -> None:
    line = await refused(counter, concurrency=2)
    assert "concurrency" in line
    assert "partitions" in line


async def test_a_broker_that_is_not_there_is_named(counter: Run) -> None:
    assert "127.0.0.1:1" in await refused(counter, broker="127.0.0.1:1")


async def test_two_workers_in_one_directory_are_refused(counter: Run) -> None:
    worker = counter.start()
    await counter.ready(worker)
    assert "another worker runs in" in await refused(counter)
    assert await counter.drain(worker) == 0


async def test_a_sigterm_commits_what_is_in_hand(counter: Run) -> None:
    worker = counter.start(settings={"commit_interval_ms": 5000})
    await counter.produce(100)
    assert await counter.drain(worker) == 0
    # What it had begun is there, each record once, and the next worker goes on from there.
    again = counter.start()
    assert (await counter.final()).exact
    assert await counter.drain(again) == 0


async def test_a_sigterm_under_load_drains_within_its_deadline(counter: Run) -> None:
    await counter.produce(6_000, do="await")
    worker = counter.start()
    await counter.outputs(500)
    asked_at = time.monotonic()
    assert await counter.drain(worker) == 0
    assert time.monotonic() - asked_at < DRAIN_SECONDS
    assert len(counter.seen) < 5_000, "it was through before it was asked"
    again = counter.start()
    assert (await counter.final()).exact
    assert await counter.drain(again) == 0


async def test_a_drain_that_misses_its_deadline_commits_nothing_of_the_record_in_hand(counter: Run) -> None:
    flag = counter.folder / "go"
    await counter.produce(1, do="wait", until=str(flag))
    worker = counter.start(settings={"drain_timeout_seconds": 0.5})
    await counter.stuck(worker)
    assert await counter.drain(worker) == 76
    assert not counter.seen
    flag.touch()
    again = counter.start()
    assert (await counter.final()).exact
    assert await counter.drain(again) == 0


async def test_a_static_worker_is_let_in_again_at_once(counter: Run) -> None:
    """Static membership: no wait for the session of the killed process."""
    settings = {"group_instance_id": "one", "session_timeout_seconds": 30.0}
    worker = counter.start(settings=settings)
    await counter.produce(500)
    await counter.outputs(500)
    counter.kill(worker)
    killed_at = time.monotonic()
    await counter.produce(500)
    again = counter.start(settings=settings)
    await until(lambda: len(counter.seen) > 500, "the first output after the kill")
    assert time.monotonic() - killed_at < 15
    assert (await counter.final()).exact
    assert await counter.drain(again) == 0


async def test_state_without_offsets_is_refused_and_never_read_again_from_the_start(counter: Run) -> None:
    await counter.produce(100)
    worker = counter.start()
    await counter.outputs(100)
    assert await counter.drain(worker) == 0
    await counter.forget_offsets()
    assert "no committed offsets" in await refused(counter)


async def test_missing_offsets_are_recovered_by_the_hook(counter: Run) -> None:
    await counter.produce(100, users=1)
    worker = counter.start()
    await counter.outputs(100)
    assert await counter.drain(worker) == 0
    await counter.forget_offsets()
    again = counter.start(recovered={"0": await counter.ends(partition=0)})
    await counter.produce(20, users=1)
    assert (await counter.final()).exact
    assert await counter.drain(again) == 0
