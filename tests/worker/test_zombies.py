"""A worker that is stopped past its session and comes back after another took over: it has no effect."""

import signal

import pytest

from app.stream.exits import ExitCode
from tests.worker.audit import Audit, audit
from tests.worker.conftest import MakeWorker
from tests.worker.house import House
from tests.worker.journal import Journal
from tests.worker.process import WorkerProcess
from tests.worker.traffic import Traffic

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SESSION_SECONDS = 2.0
# The zombie holds this much of its work back when it is stopped, uncommitted.
SLOW_COMMIT_MS = 1_000


async def test_a_zombie_has_no_effect(house: House, journal: Journal, make_worker: MakeWorker) -> None:
    zombie, successor = pair(make_worker)
    found = await haunt(house, journal, zombie.start(), successor)
    assert found.clean, f"{found}\n{zombie.log}\n{successor.log}"


async def test_a_replaced_static_member_has_no_effect(house: House, journal: Journal, make_worker: MakeWorker) -> None:
    zombie, successor = pair(make_worker, group_instance_id="w-0")
    found = await haunt(house, journal, zombie.start(), successor)
    assert found.clean, f"{found}\n{zombie.log}\n{successor.log}"


async def test_a_zombie_without_group_metadata_is_found_by_the_same_audit(
    house: House, journal: Journal, make_worker: MakeWorker
) -> None:
    """The negative control: offsets committed as generation -1, member "" are taken by the broker without any fencing."""
    zombie, successor = pair(make_worker)
    found = await haunt(house, journal, zombie.start(plan={"blank_group_metadata": True}), successor, unfenced=True)
    assert found.duplicated, f"{found}\n{zombie.log}"
    assert not found.clean


def pair(make_worker: MakeWorker, **changes: object) -> tuple[WorkerProcess, WorkerProcess]:
    """Two workers with folders of their own, as on two machines."""
    keys = make_worker().settings
    common = {
        "session_timeout_seconds": SESSION_SECONDS,
        "keys_dir": keys.keys(),
    } | changes  # fmt: skip
    folder = keys.data_dir.parent
    return (
        make_worker(data_dir=folder / "zombie", commit_interval_ms=SLOW_COMMIT_MS, **common),
        make_worker(data_dir=folder / "successor", **common),
    )


async def haunt(
    house: House, journal: Journal, zombie: WorkerProcess, successor: WorkerProcess, unfenced: bool = False
) -> Audit:
    """SIGSTOP with work in hand, takeover, SIGCONT; then what the topics say."""
    async with Traffic(house.settings, seed=11, journal=journal) as traffic:
        await traffic.burst(60)
        await journal.until_has(traffic.sent)
        await in_hand(journal, traffic)
        zombie.signal(signal.SIGSTOP)
        successor.start()
        await journal.until_has(traffic.sent)
        zombie.signal(signal.SIGCONT)
        for _ in range(5):
            await traffic.burst(40)
            await journal.until_has(traffic.sent)
        # Unfenced, nobody has told it: it is a member again.
        assert await (zombie.stop() if unfenced else zombie.ended()) == (0 if unfenced else ExitCode.FENCED), zombie.log
        assert await successor.stop() == 0
        return await audit(house.settings, journal, traffic.sent, [successor.directory])


async def in_hand(journal: Journal, traffic: Traffic) -> None:
    """Returns when the worker has just committed, and has new records that its next commit, a second away, will carry."""
    await traffic.burst(20)
    known = len(journal.entries)
    await journal.until(lambda: len(journal.entries) > known, 20, "a commit")
    await traffic.burst(40)
