"""What is taken from a worker while it is away: its group's offsets, its disk."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import DeleteGroupsRequest

from app.contract.topics import DEADLETTER
from app.settings import Settings
from tests.worker.audit import audit, committed
from tests.worker.conftest import MakeWorker
from tests.worker.house import House
from tests.worker.journal import Journal
from tests.worker.process import WorkerProcess
from tests.worker.traffic import Traffic, envelope

pytestmark = pytest.mark.kafka

DISK_MIB = 24
NON_EMPTY_GROUP = 68


async def delete_group(settings: Settings) -> bool:
    """What an operator's mistake or the expiry of offsets does. False while the group still has a member."""
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    try:
        node = await admin.find_coordinator(settings.app_id)
        answer = await admin._send_request(DeleteGroupsRequest([settings.app_id]), node)
        ((_, code),) = answer.results
        assert code in (0, NON_EMPTY_GROUP), answer
        return bool(code == 0)
    finally:
        await admin.close()


@pytest.mark.parametrize("how", ["drained", "killed"])
async def test_lost_committed_offsets_are_recovered_from_the_journal_and_nothing_is_done_twice(
    how: str, house: House, journal: Journal, make_worker: MakeWorker
) -> None:
    worker = make_worker(session_timeout_seconds=1.0).start()
    async with Traffic(house.settings, seed=9, journal=journal) as traffic:
        for _ in range(2):
            await traffic.burst(80)
            await journal.until_has(traffic.sent)
        await (worker.stop() if how == "drained" else worker.kill())
        await _without_offsets(house.settings)
        await traffic.burst(80)  # while nobody is there

        worker.start()
        await traffic.burst(80)
        await journal.until_has(traffic.sent)
        assert await worker.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    assert found.clean, f"{found}\n{worker.log}"
    assert "recovered" in worker.log


async def _without_offsets(settings: Settings) -> None:
    """A killed member is in its group until its session ends; only an empty group can be deleted."""
    async with asyncio.timeout(20):
        while not await delete_group(settings):  # noqa: ASYNC110 -- the broker tells nobody
            await asyncio.sleep(0.1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, small enough to fill."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small file system can only be mounted by root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting a tmpfs is not allowed here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Takes all the space that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    return filler


async def test_a_full_disk_ends_the_worker_with_that_message_and_dead_letters_nothing(
    house: House, journal: Journal, make_worker: MakeWorker, small_disk: Path
) -> None:
    worker = make_worker(data_dir=small_disk, keys_dir=house.settings.keys()).start()
    async with Traffic(house.settings, seed=10) as traffic:
        await traffic.send("page_view", envelope("page_view", "u-1"))
        await journal.until_has(traffic.sent)
        filler = fill(small_disk)
        load = asyncio.create_task(_until_ended(traffic, worker))
        assert await worker.ended(60) == 2, worker.log
        await load
        errors = [line for line in worker.log.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, worker.log
        assert "disk full" in errors[0]
        assert "Traceback" not in worker.log, worker.log

        # Still full: the same line again, at the start.
        worker.start()
        assert await worker.ended(60) == 2, worker.log
        errors = [line for line in worker.log.splitlines() if line.startswith("error: ")]
        assert len(errors) == 2, worker.log
        assert "disk full" in errors[1], errors
        assert "Traceback" not in worker.log, worker.log

        filler.unlink()
        worker.start()
        await journal.until_has(traffic.sent)
        assert await worker.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    assert found.clean, f"{found}\n{worker.log}"
    letters = [place async for place in committed(house.settings, [house.settings.topic(DEADLETTER)])]
    assert not letters


async def _until_ended(traffic: Traffic, worker: WorkerProcess) -> None:
    """Sound signals of ever new users, so that the stores have something to write."""
    number = 0
    while worker.running:
        number += 1
        await traffic.send("page_view", envelope("page_view", f"full-{number}", properties={"title": "x" * 200}))
