"""The pace of the feeds: they wait for a journal that is behind, slow down, and never make up for it by a burst."""

import asyncio
import time

from app.demo import pace
from app.demo.pace import SLOWER, SLOWEST, Brake, Pace


class Journal:
    """What the brake looks at: sent records without a journal record."""

    def __init__(self) -> None:
        self.waiting = 0
        self.progress = asyncio.Condition()

    async def catch_up(self) -> None:
        async with self.progress:
            self.waiting = 0
            self.progress.notify_all()


async def test_a_feed_goes_at_its_rate() -> None:
    journal = Journal()
    feed = Pace(2_000.0, Brake(2_000.0, lambda: journal.waiting, journal.progress))
    started = time.monotonic()
    for _ in range(400):
        await feed.turn()
    assert time.monotonic() - started >= 0.17


async def test_both_feeds_wait_until_the_journal_has_caught_up() -> None:
    journal = Journal()
    brake = Brake(100.0, lambda: journal.waiting, journal.progress)
    journal.waiting = 101
    feeds = [asyncio.create_task(Pace(50.0, brake).turn()) for _ in range(2)]
    _, held = await asyncio.wait(feeds, timeout=0.05)
    assert len(held) == 2
    await journal.catch_up()
    await asyncio.gather(*feeds)
    assert brake.holds == 1


async def test_after_the_warm_up_every_hold_slows_the_feeds_down_to_a_floor() -> None:
    journal = Journal()
    brake = Brake(100.0, lambda: journal.waiting, journal.progress)
    await hold(brake, journal)
    assert brake.share == 1.0
    brake._began -= pace.WARM_UP_SECONDS
    await hold(brake, journal)
    assert brake.share == SLOWER
    for _ in range(20):
        await hold(brake, journal)
    assert brake.share == SLOWEST


async def hold(brake: Brake, journal: Journal) -> None:
    journal.waiting = 1_000
    waiting = asyncio.create_task(brake.wait())
    await asyncio.sleep(0)
    await journal.catch_up()
    await waiting
