"""The installation of a drill: a cluster, workers at their posts, a house of policies, load and journal, all in one folder.

Owns building it up and taking it down. Refuses a folder that no drill made, and any cluster but its own.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.chaos.disks import Disk, unmount_below
from app.chaos.gate import Gate
from app.chaos.house import house_of
from app.chaos.journal import JournalReader
from app.chaos.load import Load
from app.chaos.plan import Plan
from app.chaos.post import Post
from app.chaos.progress import Progress
from app.chaos.records import Records
from app.chaos.worker import WorkerProcess
from app.errors import CallerError, OperatorError
from app.settings import Settings
from app.stream.cluster import EmbeddedCluster
from app.stream.ports import kept_ports

MARK = "made-by-chaos"
APP_ID = "chaos"
# One post stays free for the worker that is added.
SPARE_POSTS = 1
# What the code fails on (faulty_worker.py): in the bytes of a record.
POISON = "chaos-poison"
IN_SYNC_SECONDS = 60.0
IN_SYNC_POLL_SECONDS = 0.2


class Site:
    """Use as an async context manager: when it is entered, everything runs and nothing has been sent."""

    def __init__(self, base: Settings, plan: Plan, say: Callable[[str], None] = lambda _: None) -> None:
        self.plan = plan
        self.folder = base.data_dir / "chaos"
        self.moves: Counter[str] = Counter()  # of governance, by name
        self.no_disks: str | None = None
        self._base = base
        self._say = say
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._clear()
        async with AsyncExitStack() as opening:
            posts = range(self.plan.workers + SPARE_POSTS)
            nodes = range(1, self.plan.brokers + 1)
            gates = [await opening.enter_async_context(Gate(f"WORKER{number}", nodes)) for number in posts]
            self.cluster = EmbeddedCluster(
                self.folder / "kafka",
                self.plan.brokers,
                listeners=lambda node: tuple(gate.listener(node) for gate in gates),
                java_home=self._base.java_home,
            )
            self._say(f"{self.plan.brokers} brokers start")
            await asyncio.to_thread(self.cluster.start)
            opening.callback(self.cluster.stop)
            for gate in gates:
                gate.aim(self.cluster)
            self.settings = self._settings()
            self.house = await opening.enter_async_context(house_of(self.settings))
            self.journal = await opening.enter_async_context(JournalReader(self.settings))
            self.progress = Progress(self.journal, self.settings.partitions)
            records = Records(self.plan.seed, self.plan.users, self.plan.skew)
            self.load = await opening.enter_async_context(Load(self.settings, records, self.journal))
            self.posts = self._man(gates, opening)
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    # -- what faults ask for

    @asynccontextmanager
    async def claim(
        self, *, supervised: bool = False, owner: bool = True, excused: Collection[int] = ()
    ) -> AsyncIterator[Post]:
        """A worker at its post, for one fault alone. owner: one that has partitions."""
        free = [post for post in self.posts if post.manned and not post.claimed]
        self.plan.chance.shuffle(free)
        for post in free:
            if post.claimed or (owner and not await post.owns()):
                continue
            post.claim(supervised=supervised, excused=excused)
            try:
                yield post
            finally:
                post.release()
            return
        raise NobodyError("no worker is free")

    def spare(self) -> Post | None:
        """A post without a worker."""
        return next((post for post in self.posts if not post.manned and not post.claimed), None)

    async def in_sync(self) -> None:
        """Returns when every replica of every partition is in sync."""
        try:
            async with asyncio.timeout(IN_SYNC_SECONDS):
                while not await _all_in_sync(self.settings):  # noqa: ASYNC110 -- no broker tells it unasked
                    await asyncio.sleep(IN_SYNC_POLL_SECONDS)
        except TimeoutError:
            raise OperatorError(
                f"replicas are not in sync after {IN_SYNC_SECONDS:.0f} s", f"See the brokers' logs below {self.folder}"
            ) from None

    async def reopen_house(self) -> None:
        """Writers that gave up in the middle are not asked again."""
        await self.house.__aexit__(None, None, None)
        await self.house.__aenter__()

    # -- building

    def _settings(self) -> Settings:
        return Settings(
            broker=self.cluster.address,
            data_dir=self.folder,
            keys_dir=self.folder / "keys",
            app_id=APP_ID,
            partitions=self.plan.partitions,
            replication_factor=min(3, self.plan.brokers),
            session_timeout_seconds=self.plan.session_timeout_seconds,
            commit_interval_ms=self.plan.commit_interval_ms,
            root_public_key=None,
            actor=None,
        )

    def _man(self, gates: Sequence[Gate], opening: AsyncExitStack) -> list[Post]:
        ports = kept_ports(self.folder / "web-ports.json", [gate.name for gate in gates], {})
        posts = []
        for number, gate in enumerate(gates):
            disk = Disk(self.folder / "disks" / f"w-{number}")
            self.no_disks = disk.mount() or self.no_disks
            opening.callback(disk.unmount)
            settings = self.settings.model_copy(
                update={
                    "broker": gate.address,
                    "data_dir": disk.path,
                    "group_instance_id": f"w-{number}",
                    "web_port": ports[gate.name],
                }
            )
            worker = WorkerProcess(settings, self.folder / f"w-{number}.log", raise_on=POISON, **self.plan.planted)
            opening.callback(worker.close)
            posts.append(Post(worker, gate, disk))
        return posts

    def _clear(self) -> None:
        """Removes what the last drill left. Two runs must not mix."""
        if self._base.broker is not None:
            raise CallerError(
                f"TRUELIFT_BROKER is set to {self._base.broker}: a fire drill kills brokers",
                "Unset it: the drill starts its own",
            )
        if self.folder.exists() and not (self.folder / MARK).exists():
            raise CallerError(f"{self.folder} is there and no drill made it", "Move it away, or set TRUELIFT_DATA_DIR")
        if self.folder.exists():
            unmount_below(self.folder)
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        (self.folder / MARK).touch()


class NobodyError(Exception):
    """No worker is free for the fault right now: another is tried."""


async def _all_in_sync(settings: Settings) -> bool:
    """Whether every partition has all its replicas. A cluster that does not answer has not."""
    admin = AIOKafkaAdminClient(**settings.kafka())
    try:
        await admin.start()
        topics = await admin.describe_topics()
    except KafkaError:
        return False
    finally:
        await admin.close()
    partitions = [partition for topic in topics for partition in topic["partitions"]]
    return all(len(partition["isr"]) == len(partition["replicas"]) for partition in partitions)
