"""A worker with an empty disk: how fast its stores come back from their changelogs. `python -m tests.bench restore`

The rows are the engine's own, copied to many units; the changelogs are written as a worker writes them, in transactions with
offsets. Measured is a real worker, by its own figures. Writes results/restore.json.
"""

import argparse
import asyncio
import itertools
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from rich.console import Console
from rich.table import Table

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.contract.policy import Policy
from app.engine.policies import Policies, PolicyInForce, compile_policies
from app.engine.process import process as run_engine
from app.engine.values import TABLES, InputRecord, Moment
from app.settings import Settings
from app.stream.broker import EmbeddedBroker
from app.stream.ports import kept_ports
from tables.memory import MemoryState
from tests.bench import machine
from tests.bench.installation import install, policy_bodies, process
from tests.bench.signals import TOPIC, envelope, partition_of

RESULTS = Path(__file__).parent / "results"
WANTED_ROWS_PER_SECOND = 80_000
PARTITIONS = 4
USERS = 100_000
POLICIES = (1, 4)
SIGNALS_PER_USER = 2
TEMPLATES = 64
# A worker under load commits some dozen units in each partition at once.
UNITS_PER_COMMIT = 240
POLL_SECONDS = 0.05
DEADLINE_SECONDS = 300

TEMPLATE = b"r-template"

Row = tuple[str, bytes, bytes]  # table, key, value
Unit = tuple[int, list[Row]]


class Result(NamedTuple):
    """seconds: of the restore, by the worker. ready_seconds: from the start of the process to its first record.

    The split: the broker had not answered; batches were checked and decoded; rows went into RocksDB.
    """

    policies: int
    rows: int
    row_bytes: float
    seconds: float
    waiting_seconds: float
    decoding_seconds: float
    writing_seconds: float
    ready_seconds: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench restore", description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    users = parser.parse_args(arguments).users
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder)) as broker:
        results = [asyncio.run(_measure(broker.address, Path(folder), policies, users)) for policies in POLICIES]
    Console().print(_table(results))
    found = {
        "partitions": PARTITIONS, "users": users, "wanted_rows_per_second": WANTED_ROWS_PER_SECOND,
        "results": [result._asdict() | {"rows_per_second": result.rows_per_second} for result in results],
        "machine": machine.describe(),
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "restore.json").write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))


async def _measure(broker: str, folder: Path, policies: int, users: int) -> Result:
    settings = await install(broker, folder, policies, PARTITIONS)
    settings = settings.model_copy(update={"web_port": kept_ports(folder / "web-ports.json", ["worker"], {})["worker"]})
    await write_changelogs(settings, policy_bodies(policies), users)
    began = time.monotonic()
    with process(settings, "tests.bench.run_worker"):
        status = await ready(settings.web_port)
        ready_seconds = time.monotonic() - began
    figures = status["figures"]
    rows, seconds = figures["restored_records"], figures["restore_seconds"]
    waiting, writing = figures["restore_wait_seconds"], figures["restore_write_seconds"]
    return Result(
        policies, rows, figures["restored_bytes"] / rows, seconds,
        waiting, seconds - waiting - writing, writing, ready_seconds,
    )  # fmt: skip


async def ready(port: int) -> dict[str, Any]:
    """The worker's status once every group takes records."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            status = await asyncio.to_thread(status_of, port)
            if status.get("healthy"):
                return status
            await asyncio.sleep(POLL_SECONDS)


def status_of(port: int) -> dict[str, Any]:
    """{} while there is none, or the worker is not ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=10) as answer:
            return dict(orjson.loads(answer.read()))
    except OSError:  # nobody listens yet, or 503 while it restores
        return {}


# -- the changelogs


async def write_changelogs(settings: Settings, bodies: Sequence[dict[str, Any]], users: int) -> None:
    """Those of `users` units under active policies, and the group's offsets: state without them is refused."""
    rows = _rows(_templates(bodies), users)
    await _create_changelogs(settings)
    producer = AIOKafkaProducer(
        **settings.kafka(), transactional_id=f"{settings.app_id}-bench", linger_ms=0, max_batch_size=900_000, retry_backoff_ms=5
    )
    await producer.start()
    try:
        while units := list(itertools.islice(rows, UNITS_PER_COMMIT)):
            async with producer.transaction():
                await _commit(producer, settings, units)
        async with producer.transaction():
            places = [TopicPartition(settings.topic(TOPIC), partition) for partition in range(PARTITIONS)]
            await producer.send_offsets_to_transaction(dict.fromkeys(places, 0), settings.app_id)
    finally:
        await producer.stop()


async def _commit(producer: AIOKafkaProducer, settings: Settings, units: list[Unit]) -> None:
    batches: dict[tuple[str, int], Any] = {}
    for number, rows in units:
        partition = partition_of(unit_of(number), PARTITIONS)
        for table, key, value in rows:
            place = _changelog(settings, table), partition
            if place not in batches:
                batches[place] = producer.create_batch()
            if batches[place].append(key=key, value=value, timestamp=None) is None:  # full
                await producer.send_batch(batches[place], place[0], partition=partition)
                batches[place] = producer.create_batch()
                assert batches[place].append(key=key, value=value, timestamp=None) is not None, "a batch holds a row"
    for (topic, partition), batch in batches.items():
        await producer.send_batch(batch, topic, partition=partition)
    await producer.flush()


def unit_of(number: int) -> str:
    return f"r-{number:08d}"


def _rows(templates: Sequence[list[Row]], users: int) -> Iterator[Unit]:
    """Every unit is a copy of one of the templates under a key of its own."""
    for number in range(users):
        unit = unit_of(number).encode()
        yield number, [(table, key.replace(TEMPLATE, unit), value) for table, key, value in templates[number % len(templates)]]


def _templates(policies: Sequence[dict[str, Any]]) -> list[list[Row]]:
    """The rows of TEMPLATES units after SIGNALS_PER_USER signals each, as the engine stores them."""
    bodies = [Policy.model_validate(body) for body in policies]
    in_force = [PolicyInForce(policy.key, "active", 1, 1, 1000, policy, {1: policy}) for policy in bodies]
    compiled = compile_policies(1, DEFAULT_CATALOGUE, in_force, {})
    return [_template(compiled) for _ in range(TEMPLATES)]


def _template(policies: Policies) -> list[Row]:
    state, now_us = MemoryState(), time.time_ns() // 1000
    for offset in range(SIGNALS_PER_USER):
        signal = envelope(TEMPLATE.decode())
        record = InputRecord(TOPIC, 0, offset, now_us, TEMPLATE, signal)
        for step in run_engine(record, state, policies, Moment(now_us)):
            state.store(step.writes)
    return [(table, key, value) for table in TABLES for key, value in getattr(state, table).all_rows()]


async def _create_changelogs(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    try:
        compact = {"cleanup.policy": "compact"}
        await admin.create_topics(
            [NewTopic(_changelog(settings, table), PARTITIONS, 1, topic_configs=compact) for table in TABLES]
        )
    finally:
        await admin.close()


def _changelog(settings: Settings, table: str) -> str:
    return f"{settings.app_id}-{table}-changelog"


def _table(results: Sequence[Result]) -> Table:
    table = Table(
        "policies", "rows", "B/row", "rows/s", "MB/s", "wait", "decode", "write", "ready",
        title=f"One worker from an empty disk, {PARTITIONS} partition groups (wanted: {WANTED_ROWS_PER_SECOND:,} rows/s)",
    )  # fmt: skip
    for result in results:
        parts = (result.waiting_seconds, result.decoding_seconds, result.writing_seconds)
        table.add_row(
            str(result.policies), f"{result.rows:,}", f"{result.row_bytes:.0f}", f"{result.rows_per_second:,.0f}",
            f"{result.rows_per_second * result.row_bytes / 1e6:.0f}", *(f"{part / result.seconds:.0%}" for part in parts),
            f"{result.ready_seconds:.1f} s",
        )  # fmt: skip
    return table
