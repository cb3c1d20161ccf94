"""How fast the feeds go: at their rate, held back while the journal is behind. Refuses to drown a slow machine.

Late decisions fall back: a feed that outruns the worker for good would show fallbacks alone. So when the journal is a second
behind, both feeds wait until it has caught up, and go on somewhat slower. What was held back is not made up for by a burst.
"""

import asyncio
import time
from collections.abc import Callable

BEHIND_SECONDS = 1.0
CAUGHT_UP_SECONDS = 0.05
SLOWER = 0.9
# No slower than this share of the plan: the demo has an end to come to.
SLOWEST = 0.65
# A cold broker and a cold worker are no measure: the feeds wait for them without slowing down.
WARM_UP_SECONDS = 10.0
# A sleep is no finer; what is due within it goes at once.
STEP_SECONDS = 0.01
# Further behind its schedule than this a feed begins a new one.
SLACK_SECONDS = 0.2


class Brake:
    """One for both feeds. waiting: how many sent records have no journal record yet; progress: told when that may change."""

    def __init__(self, rate: float, waiting: Callable[[], int], progress: asyncio.Condition) -> None:
        self.share = 1.0  # of the planned rate
        self.holds = 0
        self._rate = rate
        self._waiting = waiting
        self._progress = progress
        self._holding = False
        self._began = time.monotonic()

    @property
    def rate(self) -> float:
        """Signals a second of both feeds, as it is now."""
        return self._rate * self.share

    async def wait(self) -> None:
        """Returns at once while the journal keeps up."""
        if self._waiting() <= self.rate * BEHIND_SECONDS:
            return
        if not self._holding:
            self._holding = True
            self.holds += 1
            if time.monotonic() - self._began > WARM_UP_SECONDS:
                self.share = max(SLOWEST, self.share * SLOWER)
        async with self._progress:
            await self._progress.wait_for(lambda: self._waiting() <= self.rate * CAUGHT_UP_SECONDS)
        self._holding = False


class Pace:
    """Of one feed. rate: its part of the planned one."""

    def __init__(self, rate: float, brake: Brake) -> None:
        self._rate = rate
        self._brake = brake
        self._next = 0.0

    async def turn(self, records: int = 1) -> None:
        """Returns when so many records may go."""
        await self._brake.wait()
        now = time.monotonic()
        if now - self._next > SLACK_SECONDS:
            self._next = now
        if self._next - now > STEP_SECONDS:
            await asyncio.sleep(self._next - now)
        self._next += records / (self._rate * self._brake.share)
