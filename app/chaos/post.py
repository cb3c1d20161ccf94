"""A place for a worker: its process, its way to the brokers and its disk. A process that ends by itself is started again.

Owns who starts it: the fault that has claimed the post, else its supervision. Refuses two faults at once on one worker.
"""

import asyncio
from collections.abc import Callable, Collection

from app.chaos.disks import Disk
from app.chaos.gate import Gate
from app.chaos.worker import WorkerProcess

LAST_WORDS_CHARS = 300

Ended = Callable[["Post", int], None]


class Post:
    """manned: a worker belongs here. claimed: a fault is at work. excused: exit codes that this fault explains."""

    def __init__(self, worker: WorkerProcess, gate: Gate, disk: Disk) -> None:
        self.worker = worker
        self.gate = gate
        self.disk = disk
        self.manned = False
        self.claimed = False
        self.excused: frozenset[int] = frozenset()
        self._supervised = asyncio.Event()

    @property
    def name(self) -> str:
        return str(self.worker.settings.group_instance_id)

    def man(self) -> None:
        """Starts a worker, which is from now on started again when it ends."""
        self.manned = True
        self.worker.start()
        self._supervised.set()

    def claim(self, *, supervised: bool, excused: Collection[int] = ()) -> None:
        """supervised: should the worker end of the fault, it is started again as anywhere else."""
        assert not self.claimed, f"{self.name} has a fault already"
        self.claimed, self.excused = True, frozenset(excused)
        if not supervised:
            self._supervised.clear()

    def release(self) -> None:
        self.claimed, self.excused = False, frozenset()
        if self.manned:
            self._supervised.set()

    async def leave(self) -> int:
        """SIGTERM, and nobody comes after it. The exit code."""
        self.manned = False
        self._supervised.clear()
        return await self.worker.stop()

    async def supervise(self, ended: Ended) -> None:
        """For ever. ended: told of each end that no fault had claimed, with its exit code."""
        while True:
            await self._supervised.wait()
            process = self.worker.process
            code = await asyncio.to_thread(process.wait)
            if self._supervised.is_set() and self.worker.process is process:
                ended(self, code)
                self.worker.start()

    async def owns(self) -> bool:
        """Whether its worker has partitions, all of them open."""
        status = await self.worker.status()
        return bool(status.get("partitions")) and bool(status["healthy"])

    @property
    def last_words(self) -> str:
        lines = [line for line in self.worker.log.splitlines() if line.strip()]
        return lines[-1][-LAST_WORDS_CHARS:] if lines else "it said nothing"
