"""One cell: an installation with so many users and policies, a worker with an empty disk, a backlog of signals.

How the users come in: as changelogs, written in transactions as a worker writes them, whose rows are the engine's own for 64
units, copied to `users` of them under keys of their own (tests/bench/restore.py). A million users through Kafka and the engine
would take minutes for each cell, and leave the same rows; history.py has users that came in that way.
"""

import asyncio
import contextlib
import random
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from app.settings import Settings
from app.stream.ports import kept_ports
from tests.bench.installation import install, policy_bodies, process
from tests.bench.peers.processes import usage_of
from tests.bench.restore import PARTITIONS, ready, unit_of, write_changelogs
from tests.bench.signals import TOPIC, envelope, partition_of

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 120.0
# A hundred decisions for each signal, on a busy machine.
SLOWEST_PER_SECOND = 10
MEGA = 1_000_000


class Case(NamedTuple):
    """concerned: of the active policies, how many the signals trigger."""

    users: int
    policies: int
    concerned: int
    signals: int


class Result(NamedTuple):
    """restore: of an empty disk. store_mb: on disk after the run. rss_mb: at the end, peak_mb: at most."""

    users: int
    policies: int
    concerned: int
    signals: int
    signals_per_second: float
    cpu_seconds_per_1000: float
    rows: int
    restore_seconds: float
    store_mb: float
    rss_mb: float
    peak_mb: float


async def measure(broker: str, folder: Path, case: Case) -> Result:
    settings = await new_installation(broker, folder, case.policies, case.concerned)
    await write_changelogs(settings, policy_bodies(case.concerned, policies=case.policies), case.users)
    await send(settings, case.users, case.signals)
    with process(settings, "tests.bench.run_worker") as worker:
        figures = (await ready(settings.web_port))["figures"]
        rate, cpu_seconds = await work_off(settings, case.signals, worker.pid)
        usage = usage_of(worker.pid)
    store_mb = disk_mb(settings)
    shutil.rmtree(settings.data_dir)
    return Result(
        *case, rate, cpu_seconds * 1000, figures["restored_records"], figures["restore_seconds"], store_mb,
        usage.rss_mb, usage.peak_mb,
    )  # fmt: skip


async def new_installation(broker: str, folder: Path, policies: int, concerned: int) -> Settings:
    settings = await install(broker, folder, concerned, PARTITIONS, policies=policies)
    port = kept_ports(folder / "web-ports.json", ["worker"], {})["worker"]
    return settings.model_copy(update={"web_port": port})


async def send(settings: Settings, users: int, count: int, seed: int = 1, *, each: bool = False) -> None:
    """`count` signals of users drawn at random; `each`: of all users in turn."""
    chance = random.Random(seed)
    producer = AIOKafkaProducer(**settings.kafka(), linger_ms=20, max_batch_size=500_000)
    await producer.start()
    try:
        for number in range(count):
            unit = unit_of(number % users if each else chance.randrange(users))
            partition = partition_of(unit, PARTITIONS)
            await producer.send(settings.topic(TOPIC), key=unit.encode(), value=envelope(unit), partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


async def work_off(settings: Settings, signals: int, pid: int) -> tuple[float, float]:
    """(signals a second, CPU seconds a signal) until `signals` are committed, by the worker's own count of them."""
    first = await _look(settings, pid)
    async with asyncio.timeout(PATIENCE_SECONDS + signals / SLOWEST_PER_SECOND):
        while (last := await _look(settings, pid)).signals < signals:  # noqa: ASYNC110 -- another process counts
            await asyncio.sleep(POLL_SECONDS)
    count = last.signals - first.signals
    return count / (last.at - first.at), (last.cpu_seconds - first.cpu_seconds) / count


class _Look(NamedTuple):
    at: float
    signals: int
    cpu_seconds: float


async def _look(settings: Settings, pid: int) -> _Look:
    status = await ready(settings.web_port)
    count = status["figures"]["records_by_topic"].get(settings.topic(TOPIC), 0)
    return _Look(time.perf_counter(), count, usage_of(pid).cpu_seconds)


def disk_mb(settings: Settings) -> float:
    """Of all files of all stores; a file that a closing store deletes meanwhile counts nothing."""
    total = 0
    for file in settings.data_dir.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size if file.is_file() else 0
    return total / MEGA
