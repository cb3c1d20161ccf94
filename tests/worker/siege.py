"""Workers under steady load that die again and again, and how soon their work goes on after each restart."""

import asyncio
import random
import sys
from collections.abc import Sequence
from typing import Self

from app.chaos.progress import Progress
from tests.worker.journal import Journal
from tests.worker.process import WorkerProcess
from tests.worker.traffic import Traffic

RATE = 120
# Between two deaths at random; a worker has made some dozen commits by then.
ALIVE_MAX_SECONDS = 0.5
# The commit, counted from a worker's start, at which it dies: the first ones restore and catch up, later ones are steady.
NTH_MAX = 25
SERVED_SECONDS = 30


class Siege:
    """Use as an async context manager: the load runs inside. `seconds` holds the time of each restart to its work."""

    def __init__(self, traffic: Traffic, journal: Journal, workers: Sequence[WorkerProcess], seed: int) -> None:
        self.seconds: list[float] = []
        self.workers = workers
        self._traffic = traffic
        self._journal = journal
        self._progress = Progress(journal, workers[0].settings.partitions)
        self._random = random.Random(seed)

    async def __aenter__(self) -> Self:
        self._load = asyncio.create_task(self._traffic.steady(RATE))
        for worker in self.workers:
            worker.start()
        await self._served_since(max(worker.started_at for worker in self.workers))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._traffic.end()
        await asyncio.gather(self._load, return_exceptions=kind is not None)

    async def die_at_random(self, rounds: int) -> None:
        """SIGKILL at any moment, one worker at a time; `seconds` says how soon all goes on after each restart."""
        for number in range(rounds):
            worker = self.workers[number % len(self.workers)]
            await asyncio.sleep(self._random.uniform(0, ALIVE_MAX_SECONDS))  # the moment is what is tested
            await worker.kill()
            worker.start()
            self.seconds.append(await self._served_since(worker.started_at))

    async def die_at(self, point: str, kills: int, **mistakes: bool) -> None:
        """SIGKILL to itself when a commit reaches `point`; each start is also the restart after the death before.

        mistakes: see FaultPlan.
        """
        for _ in range(-(-kills // len(self.workers))):
            for worker in self.workers:
                if worker.running:
                    await worker.kill()
                worker.start(plan={"crash_at": point, "nth": self._random.randint(1, NTH_MAX), **mistakes})
            for worker in self.workers:
                code = await worker.ended(SERVED_SECONDS)
                assert code == -9, f"ended with {code} instead of at {point}\n{worker.log}"
        for worker in self.workers:
            worker.start()
        await self._served_since(self.workers[0].started_at)

    async def finish(self) -> None:
        """All that was sent is journalled; the workers drain and end."""
        self._traffic.end()
        await self._load
        await self._journal.until_has(self._traffic.sent, 60)
        for worker in self.workers:
            code = await worker.stop()
            assert code == 0, f"drained with {code}\n{worker.log}"

    def report(self, what: str) -> None:
        ordered = sorted(self.seconds)
        middle, worst = ordered[len(ordered) // 2], ordered[-1]
        sys.stdout.write(f"{what}: {len(ordered)} restarts, work goes on after p50 {middle:.2f} s, max {worst:.2f} s\n")

    async def _served_since(self, started_at: float) -> float:
        """Seconds until every partition had a record that was decided after that moment."""
        return await self._progress.since(started_at, SERVED_SECONDS) - started_at
