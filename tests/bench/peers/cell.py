"""One peer in one column: its topics, its processes, its verdict."""

import itertools
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bench.peers.job import Job
from tests.bench.peers.judge import Verdict, judge
from tests.bench.peers.load import Inputs, create_topics, delete_topics, topics
from tests.bench.peers.peers import Launch, Peer
from tests.bench.peers.processes import Workers

_serial = itertools.count(1)


class Cell:
    """Named uniquely, so that nothing of an earlier cell is left in its group, its topics or its folder."""

    def __init__(self, peer: Peer, launch: Launch, column: str, inputs: Inputs, folder: Path) -> None:
        self.peer = peer
        self.inputs = inputs
        self.broker = inputs.broker
        self.name = f"{peer.name}{os.getpid()}x{next(_serial)}"
        self.out = f"out-{self.name}"
        self.workers = Workers(folder / self.name)
        self._launch = launch
        self._tuning = dict(peer.tuning[column])

    def start(self, worker: int = 1) -> None:
        """A static member: its name is the same each time it is started."""
        job = Job(
            broker=self.broker, app_id=self.name, first=self.inputs.topics[0], second=self.inputs.topics[1], out=self.out,
            data_dir=str(self.workers.folder / "data"), partitions=self.inputs.partitions, instance_id=f"worker-{worker}",
            tuning=self._tuning,
        )  # fmt: skip
        self.workers.start(*self._launch(job))

    async def changelog(self) -> str:
        """The topic of the counts, whatever the peer calls it."""
        found = [topic for topic in await topics(self.broker) if self.name in topic and "changelog" in topic]
        if len(found) != 1:
            raise RuntimeError(f"{self.name} has {len(found)} changelogs: {', '.join(found) or 'its state is nowhere'}")
        return found[0]

    async def verdict(self, count: int | None = None) -> Verdict:
        """Over everything that the inputs hold, or their first `count` events."""
        inputs = self.inputs
        expected = inputs.count if count is None else count
        changelog = await self.changelog()
        return await judge(self.broker, self.out, changelog, inputs.partitions, inputs.keys, expected, self.peer.decode)


@asynccontextmanager
async def cell(peer: Peer, launch: Launch, column: str, inputs: Inputs, folder: Path) -> AsyncIterator[Cell]:
    made = Cell(peer, launch, column, inputs, folder)
    await create_topics(inputs.broker, (made.out,), inputs.partitions)
    try:
        yield made
    finally:
        made.workers.stop()
        await delete_topics(inputs.broker, made.name)
        shutil.rmtree(made.workers.folder, ignore_errors=True)
