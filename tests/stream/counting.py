"""A run of the counter app on the real broker: load, workers as processes, and what a read_committed reader sees.

The judge shares no code with the engine room: it reads the output topic and the changelog with plain aiokafka.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.protocol.admin import DeleteGroupsRequest

from app.settings import Settings
from app.stream.admin import until_served

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 40.0
PARTITIONS = 4


class Verdict(NamedTuple):
    """lost: events without output; duplicated: more than one; wrong: counts out of sequence, or a changelog that differs."""

    lost: int
    duplicated: int
    wrong: int

    @property
    def exact(self) -> bool:
        return self == (0, 0, 0)


class Run:
    """Topics, application and folder of one test."""

    def __init__(self, broker: str, name: str, folder: Path) -> None:
        self.broker = broker
        self.name = name
        self.folder = folder
        self.first, self.second, self.out = (f"{name}.{topic}" for topic in ("first", "second", "out"))
        self.changelog = f"{name}-counts-changelog"
        self.sent: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        self.reader: asyncio.Task[None] | None = None

    # -- topics and load

    async def create(self, **partitions: int) -> None:
        counts = {"first": PARTITIONS, "second": PARTITIONS, "out": PARTITIONS} | partitions
        for topic, count in counts.items():
            await self.create_topic(f"{self.name}.{topic}", count)

    async def create_topic(self, topic: str, partitions: int) -> None:
        async with admin(self.broker) as client:
            await client.create_topics([NewTopic(topic, partitions, 1)])
        await until_served(Settings(broker=self.broker), [topic], partitions)

    async def forget_offsets(self) -> None:
        """Delete the group's committed offsets, as an expiry of the group does."""
        async with admin(self.broker) as client:
            coordinator = await client.find_coordinator(self.name)
            answer = await client._send_request_to_node(coordinator, DeleteGroupsRequest([self.name]))
            assert [code for _, code in answer.results] == [0]

    async def ends(self, partition: int) -> dict[str, int]:
        """{input topic: the offset after its last record}."""
        async with consumer(self.broker, self.first) as reader:
            tps = [TopicPartition(topic, partition) for topic in (self.first, self.second)]
            return {tp.topic: end for tp, end in (await reader.end_offsets(tps)).items()}

    async def produce(self, count: int, users: int = 50, **fields: Any) -> None:
        """`count` more records, alternating between the topics, each user on one partition of both.

        Idempotent, and each answer looked at: what the load itself repeats or loses is no finding about the engine room.
        """
        answers = []
        async with AIOKafkaProducer(bootstrap_servers=self.broker, enable_idempotence=True) as producer:
            for number in range(len(self.sent), len(self.sent) + count):
                user = number % users
                record = {"event_id": number, "user": f"u{user}", **fields}
                topic = self.second if number % 3 == 0 else self.first
                value = json.dumps(record).encode()
                answers.append(await producer.send(topic, value, key=record["user"].encode(), partition=user % PARTITIONS))
                self.sent.append(record)
            await asyncio.gather(*answers)

    # -- workers

    def options(self, **changes: Any) -> dict[str, Any]:
        return {
            "broker": self.broker,
            "data_dir": str(self.folder),
            "app_id": self.name,
            "first": self.first,
            "second": self.second,
            "out": self.out,
        } | changes

    def start(self, **changes: Any) -> subprocess.Popen[bytes]:
        name = f"worker-{len(self.workers)}"
        options = self.options(ready=str(self.folder / f"{name}.ready"), **changes)
        with (self.folder / f"{name}.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.stream.counter_app", json.dumps(options)],
                cwd=ROOT,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self.workers.append(worker)
        return worker

    def log(self, number: int = -1) -> str:
        """What a worker wrote to stderr."""
        return (self.folder / f"worker-{number % len(self.workers)}.log").read_text()

    async def ready(self, worker: subprocess.Popen[bytes]) -> None:
        """Wait until its first assignment is open."""
        path = self.folder / f"worker-{self.workers.index(worker)}.ready"
        await until(path.exists, f"{path.name}", lambda: f"exit code {worker.poll()}")

    async def stuck(self, worker: subprocess.Popen[bytes]) -> None:
        """Wait until it is inside a record that waits."""
        path = self.folder / "waiting"
        await until(path.exists, "a record in hand")

    async def exit_code(self, worker: subprocess.Popen[bytes]) -> int:
        await until(lambda: worker.poll() is not None, "the worker's end")
        return worker.returncode

    async def drain(self, worker: subprocess.Popen[bytes]) -> int:
        await self.ready(worker)
        worker.send_signal(signal.SIGTERM)
        return await self.exit_code(worker)

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        worker.kill()
        worker.wait()

    def end(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
                worker.wait()

    # -- what came out

    async def outputs(self, count: int) -> None:
        """Wait until `count` outputs are visible in all."""

        def there() -> bool:
            if self.reader is not None and self.reader.done():
                self.reader.result()  # raises what ended it
            return len(self.seen) >= count

        await until(there, f"{count} outputs", lambda: f"{len(self.seen)} seen")

    async def read(self) -> None:
        async with consumer(self.broker, self.out) as outputs:
            async for record in outputs:
                self.seen.append(json.loads(record.value) | {"_partition": record.partition})

    def verdict(self, changelog: dict[str, int] | None = None) -> Verdict:
        times = Counter(output["event_id"] for output in self.seen)
        lost = sum(1 for record in self.sent if record["event_id"] not in times)
        duplicated = sum(number - 1 for number in times.values())
        counts: defaultdict[str, int] = defaultdict(int)
        wrong = 0
        for output in self.seen:
            counts[output["user"]] += 1
            wrong += output["count"] != counts[output["user"]]
        if changelog is not None:
            wrong += sum(1 for user in {*counts, *changelog} if changelog.get(user, 0) != counts.get(user, 0))
        return Verdict(lost, duplicated, wrong)

    async def final(self) -> Verdict:
        """The verdict over outputs and changelog once everything that was sent has come out."""
        await self.outputs(len(self.sent))
        return self.verdict(await self.state())

    async def state(self) -> dict[str, int]:
        """The table as its changelog has it."""
        state: dict[str, int] = {}
        async with consumer(self.broker, self.changelog) as changes:
            ends = await changes.end_offsets(changes.assignment())
            while any([await changes.position(tp) < end for tp, end in ends.items()]):
                for records in (await changes.getmany(timeout_ms=100)).values():
                    state.update((record.key.decode(), json.loads(record.value)) for record in records)
        return state


@asynccontextmanager
async def counter_run(broker: str, name: str, folder: Path, **partitions: int) -> AsyncIterator[Run]:
    """Topics made, reader running; at the end every worker is ended."""
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(broker, name, folder)
    await run.create(**partitions)
    run.reader = asyncio.create_task(run.read())
    try:
        yield run
    finally:
        run.end()
        run.reader.cancel()
        await asyncio.wait([run.reader])


@asynccontextmanager
async def admin(broker: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=broker)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def consumer(broker: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    client = AIOKafkaConsumer(
        topic,
        bootstrap_servers=broker,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def until(condition: Callable[[], bool], what: str, have: Callable[[], object] = lambda: "") -> None:
    """Wait for `condition`, which is looked at between the turns of the event loop."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE_SECONDS:g} s for {what}; {have()}")
        await asyncio.sleep(0.005)
