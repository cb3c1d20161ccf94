"""Several workers: whose partitions stand still when one of them restarts, and when one leaves for good."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from app.settings import Settings
from tests.worker.conftest import MakeWorker
from tests.worker.house import house_of
from tests.worker.journal import Journal
from tests.worker.process import WorkerProcess
from tests.worker.traffic import Traffic

pytestmark = pytest.mark.kafka

PARTITIONS = 4
RATE = 80
# Longer than any restart here: whatever moves before it is over was not the session's end.
SESSION_SECONDS = 90.0
DEADLINE_SECONDS = 60


class Pair:
    """Two workers under load, each with two of the four partitions, and the journal as it grows."""

    def __init__(self, first: WorkerProcess, second: WorkerProcess, journal: Journal) -> None:
        self.first, self.second = first, second
        self._journal = journal

    async def until_owned(self, worker: WorkerProcess, count: int) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(await worker.owned()) != count:  # noqa: ASYNC110 -- a page tells nobody
                await asyncio.sleep(0.05)

    async def decided_since(self, moment: float) -> None:
        """Until every partition has a record that was decided after that moment."""
        entries = self._journal.by_partition
        await self._journal.until(
            lambda: all(entries[p] and entries[p][-1].decided_at > moment for p in range(PARTITIONS)),
            DEADLINE_SECONDS,
            "a decision in each partition",
        )

    def gap(self, partition: int, moment: float) -> tuple[float, float]:
        """(the last decision before that moment, the first one after it) of the partition's owner."""
        decided = self._decided(partition)
        return max(at for at in decided if at < moment), min(at for at in decided if at >= moment)

    def pause(self, partition: int, began: float, ended: float) -> float:
        """The longest time without a decision, of those that touch the given one."""
        return max(b - a for a, b in pairwise(self._decided(partition)) if b > began and a < ended)

    def decisions(self, partition: int, began: float, ended: float) -> int:
        return sum(began < at < ended for at in self._decided(partition))

    def _decided(self, partition: int) -> list[float]:
        return [entry.decided_at for entry in self._journal.by_partition[partition]]


@pytest.fixture
def pair(make_settings: Callable[..., Settings], make_worker: MakeWorker) -> Callable[..., Any]:
    @asynccontextmanager
    async def opened(*, static: bool) -> AsyncIterator[Pair]:
        settings = make_settings(partitions=PARTITIONS)
        async with house_of(settings), Journal(settings) as journal, Traffic(settings, seed=41, journal=journal) as traffic:
            load = asyncio.create_task(traffic.steady(RATE))
            workers = [
                make_worker(
                    partitions=PARTITIONS,
                    session_timeout_seconds=SESSION_SECONDS,
                    group_instance_id=name if static else None,
                    data_dir=settings.data_dir / name,
                    keys_dir=settings.keys(),
                ).start()
                for name in ("first", "second")
            ]
            found = Pair(*workers, journal)
            for worker in workers:
                await found.until_owned(worker, PARTITIONS // 2)
            yield found
            traffic.end()
            await load
            await journal.until_has(traffic.sent, DEADLINE_SECONDS)

    return opened


async def _restart(pair: Pair) -> tuple[set[int], set[int], float]:
    """(partitions of the restarted worker, those of the other, when it was started again)."""
    own, others = await pair.first.owned(), await pair.second.owned()
    await pair.decided_since(pair.second.started_at)
    assert await pair.first.stop() == 0
    pair.first.start()
    await pair.decided_since(pair.first.started_at)
    await pair.until_owned(pair.first, PARTITIONS // 2)
    return own, others, pair.first.started_at


async def test_a_static_member_s_restart_touches_its_own_partitions_alone(pair: Callable[..., Any]) -> None:
    async with pair(static=True) as two:
        before = await two.second.rebalances()
        own, others, restarted_at = await _restart(two)
        assert own.isdisjoint(others)
        assert await two.first.owned() == own
        assert await two.second.owned() == others
        assert await two.second.rebalances() == before
        for partition in own:
            began, ended = two.gap(partition, restarted_at)
            for other in others:
                assert two.decisions(other, began, ended) > 0
                assert two.pause(other, began, ended) < ended - began


async def test_a_dynamic_member_s_restart_makes_all_give_up_their_partitions(pair: Callable[..., Any]) -> None:
    """What static membership is for: the same restart without it."""
    async with pair(static=False) as two:
        before = await two.second.rebalances()
        await _restart(two)
        assert await two.second.rebalances() >= before + 2  # when it left, and when it came back


async def test_a_static_member_that_is_interrupted_leaves_for_good_and_its_partitions_are_taken_over_at_once(
    pair: Callable[..., Any],
) -> None:
    """Well within the session's time, which a static member that is terminated keeps its place for."""
    async with pair(static=True) as two:
        two.first.signal(signal.SIGINT)
        assert await two.first.ended(DEADLINE_SECONDS) == 0
        await two.until_owned(two.second, PARTITIONS)
