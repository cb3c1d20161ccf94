"""A real worker's history, cut in the middle by Kafka's own retention: what is left is verified from a checkpoint."""

import asyncio
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.chaos.worker import environment
from app.contract.topics import DEADLETTER, JOURNAL, TICKS, topic_specs
from app.reading import beginnings
from app.settings import Settings
from app.stream.broker import EmbeddedBroker
from app.stream.child import truelift as command
from tests.worker.conftest import MakeWorker
from tests.worker.house import House, house_of
from tests.worker.journal import Journal
from tests.worker.policies import catalogue
from tests.worker.traffic import Traffic

pytestmark = pytest.mark.kafka

RETENTION_SECONDS = 60.0
# Ticks come every second: none may be gone before the worker has read it. What is written to is deleted by whole segments.
QUICK = {"retention.ms": "3000", "segment.ms": "1000"}


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def replay(settings: Settings, name: str) -> Ended:
    return await truelift(settings, name, "--jobs", "1")


async def truelift(settings: Settings, *arguments: str) -> Ended:
    """`truelift replay` as a process of its own, signing as ann."""
    environ = os.environ | environment(settings) | {"TRUELIFT_ACTOR": "ann"}
    line = command("replay", *arguments, "--json")
    done = await asyncio.to_thread(subprocess.run, line, env=environ, capture_output=True, text=True)
    return Ended(done.returncode, done.stdout, done.stderr)


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**settings.kafka())
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def busy(traffic: Traffic, journal: Journal) -> None:
    """Signals of every kind, answers to what was decided, and a timer that fires."""
    fired = sum(entry.body["status"] == "fired" for entry in journal.entries)
    for _ in range(2):
        await traffic.burst(120)
        await journal.until_has(traffic.sent)
    await journal.until(
        lambda: sum(entry.body["status"] == "fired" for entry in journal.entries) > fired, 20, "another fired timer"
    )


def waiting_timers(journal: Journal) -> set[str]:
    decisions = [decision for entry in journal.entries for decision in entry.body["decisions"]]
    waiting = {timer["timer_id"] for decision in decisions for timer in decision["timers_set"]}
    waiting -= {timer for decision in decisions for timer in decision["timers_cancelled"]}
    return waiting - {entry.body.get("timer_id") for entry in journal.entries}


def sections_of(file: str) -> dict[int, Mapping[str, Any]]:
    """What the manifest says of each partition's position: read as anybody can."""
    with zipfile.ZipFile(file) as archive:
        said = json.loads(archive.read("manifest.json"))
    return {section["partition"]: section["position"] for section in said["partitions"]}


def after(journal: Journal, positions: Mapping[int, Mapping[str, Any]]) -> int:
    return sum(entry.offset >= positions[entry.partition]["journal"] for entry in journal.entries)


@contextmanager
def replaced(file: Path, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """Something else under the checkpoint's name."""
    aside = file.with_suffix(".aside")
    shutil.copy(file, aside)
    file.write_bytes(change(file.read_bytes()))
    yield
    aside.rename(file)


def with_member(raw: bytes, folder: Path, name: str, change: Callable[[bytes], bytes]) -> bytes:
    path = folder / "changed.zip"
    path.write_bytes(raw)
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, change(content) if member == name else content)
    return path.read_bytes()


async def delete_records(settings: Settings, positions: Mapping[int, Mapping[str, Any]]) -> None:
    """All inputs and journal records (and dead letters) before the checkpoint."""
    before = {}
    for partition, position in positions.items():
        offsets = {**position["inputs"], JOURNAL: position["journal"], DEADLETTER: position["outputs"].get(DEADLETTER, 0)}
        for name, offset in offsets.items():
            before[TopicPartition(settings.topic(name), partition)] = RecordsToDelete(offset)
    async with admin(settings) as client:
        await client.delete_records(before)


async def test_the_first_half_is_deleted_and_the_rest_is_verified_from_the_checkpoint(
    house: House, journal: Journal, make_worker: MakeWorker, tmp_path: Path
) -> None:
    settings, worker = house.settings, make_worker().start()
    async with Traffic(settings, seed=31, journal=journal) as traffic:
        await busy(traffic, journal)
        taken = await replay(settings, "checkpoint")  # the worker goes on meanwhile
        assert taken.code == 0, taken.out + taken.err
        await busy(traffic, journal)
    assert await worker.stop() == 0
    file = Path(taken.json["file"])
    positions = sections_of(str(file))
    await delete_records(settings, positions)

    verified = await replay(settings, "verify")
    assert verified.code == 0, verified.out + verified.err
    assert verified.json["findings"] == {}
    assert verified.json["compared"] == verified.json["identical"] == after(journal, positions) > 200
    assert [begun["checkpoint"] for begun in verified.json["from_checkpoints"]] == [file.name] * 2

    with replaced(file, lambda raw: raw):
        file.unlink()
        without = await replay(settings, "verify")
    assert without.code == 1
    assert without.json["findings"] == {"unverifiable": after(journal, positions)}

    changes: dict[str, Callable[[bytes], bytes]] = {
        "cannot be read": lambda raw: raw[: len(raw) // 2],
        "the governance log says": lambda raw: with_member(
            raw, tmp_path, "manifest.json", lambda said: said.replace(b'"decided_us":1', b'"decided_us":2', 1)
        ),
    }
    for said, change in changes.items():
        with replaced(file, change):
            refused = await replay(settings, "verify")
        assert refused.code == 2
        assert said in refused.err

    async with AIOKafkaProducer(**settings.kafka()) as producer:
        signal = [entry for entry in journal.by_partition[1] if entry.input[0] != TICKS][-1]
        planted = json.dumps(signal.body).encode()
        await producer.send_and_wait(settings.topic(JOURNAL), planted, partition=1)
    found = await replay(settings, "verify")
    assert found.code == 1
    assert found.json["findings"] == {"duplicate": 1}
    refused = await replay(settings, "checkpoint")
    assert refused.code == 1, "a difference is never passed on by a checkpoint"
    listed = await truelift(settings, "checkpoints")
    assert [(one["actor"], one["here"]) for one in listed.json] == [("ann", True)]


class QuickRetention(EmbeddedBroker):
    """Looks for what is too old several times a second; the default is once in five minutes."""

    def _write_configuration(self) -> None:
        super()._write_configuration()
        with self.folder.properties.open("a") as properties:
            properties.write(
                "log.retention.check.interval.ms=200\nlog.initial.task.delay.ms=200\nlog.segment.delete.delay.ms=100\n"
            )


async def configure(settings: Settings, names: Collection[str], changes: Mapping[str, str]) -> None:
    """Those topics as they are made, with changes: Kafka's AlterConfigs replaces all that was set."""
    found = catalogue()
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, settings.topic(spec.name), {**spec.configs, **changes})
        for spec in topic_specs(found.event_types, found.bounds.max_record_bytes)
        if spec.name in names
    ]
    async with admin(settings) as client:
        await client.alter_configs(resources)


@pytest.mark.slow
async def test_retention_by_time_takes_the_first_half_and_the_rest_is_verified_from_the_checkpoint(
    tmp_path: Path, make_settings: Callable[..., Settings], make_worker: MakeWorker
) -> None:
    with QuickRetention(tmp_path / "kafka") as broker:
        settings = make_settings(broker=broker.address, partitions=2)
        async with house_of(settings), Journal(settings) as journal, Traffic(settings, seed=32, journal=journal) as traffic:
            worker = make_worker(broker=broker.address).start()
            await busy(traffic, journal)
            # What a timer journals after the checkpoint must not be old enough for retention too.
            await journal.until(lambda: not waiting_timers(journal), 30, "a journal without waiting timers")
            taken = await replay(settings, "checkpoint")
            assert taken.code == 0, taken.out + taken.err
            positions = sections_of(taken.json["file"])
            names = {JOURNAL, DEADLETTER, *(name for position in positions.values() for name in position["inputs"])}
            await configure(settings, names, QUICK)
            await _until_gone(settings, positions)
            await configure(settings, names, {})
            await busy(traffic, journal)
            assert await worker.stop() == 0
            verified = await replay(settings, "verify")
            assert verified.code == 0, verified.out + verified.err
            assert verified.json["findings"] == {}
            assert verified.json["compared"] == verified.json["identical"] == after(journal, positions) > 200
            Path(taken.json["file"]).unlink()
            without = await replay(settings, "verify")
            assert without.code == 1
            assert without.json["findings"]["unverifiable"] == without.json["records"] >= after(journal, positions)


async def _until_gone(settings: Settings, positions: Mapping[int, Mapping[str, Any]]) -> None:
    """Until retention has taken the beginning of the journal and of every input topic that it names."""
    wanted = [
        (settings.topic(name), partition)
        for partition, position in positions.items()
        for name in [JOURNAL, *position["inputs"]]
    ]
    async with asyncio.timeout(RETENTION_SECONDS):
        while not all((await beginnings(settings, wanted)).values()):  # noqa: ASYNC110 -- the broker tells nobody
            await asyncio.sleep(0.2)
