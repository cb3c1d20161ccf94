"""`truelift scale` on running workers, killed on the way like one of them: nothing lost, nothing twice, nobody rerolled."""

import asyncio
import os
import sys
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from app.chaos.records import envelope
from app.contract.partitions import partition_of
from app.errors import CallerError
from app.governance.log import fold_all
from app.scaling.scale import make_plan
from app.settings import Settings
from tests.bench.scaling.run import measure
from tests.worker.conftest import MakeWorker
from tests.worker.house import House
from tests.worker.journal import Journal
from tests.worker.process import environment
from tests.worker.traffic import Traffic

pytestmark = pytest.mark.kafka

USERS = 1_000
RATE = 120
WARM_RATE = 400


async def truelift(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.scaling.command", *arguments,
        env=os.environ | environment(settings), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


@pytest.mark.slow
async def test_two_changes_under_load_with_kills_of_command_and_worker_lose_and_reroll_nothing(
    broker: str, tmp_path: Path
) -> None:
    said: list[str] = []
    result = await measure(
        broker, tmp_path, users=USERS, rate=RATE, warm_rate=WARM_RATE, counts=(2, 4, 8), seed=7, say=said.append
    )
    assert result.check.first == (), said
    assert result.clean, (result.check.findings, result.verify.shown)
    assert [(change.previous, change.partitions) for change in result.changes] == [(2, 4), (4, 8)]
    for change in result.changes:
        assert change.units_moved > USERS // 3
        assert change.killed[0] == "truelift scale"
        assert len(change.killed) == 2
    assert result.check.journal["forwarded"] > 0


async def test_the_plan_says_what_moves_and_refuses_what_cannot(
    house: House, make_worker: MakeWorker, journal: Journal
) -> None:
    worker = make_worker().start()
    async with Traffic(house.settings, seed=3, users=40, journal=journal) as traffic:
        await traffic.burst(200)
        await journal.until_has(traffic.sent)
    fold = await fold_all(house.settings)
    plan = await make_plan(house.settings, fold, 6, lambda _: None)
    assert (plan.previous, plan.partitions) == (2, 6)
    assert 0 < plan.inventory.moving_units < plan.inventory.units == plan.inventory.rows["eligibility"] <= 40
    assert plan.inventory.strays == 0
    assert plan.pause_ms is not None
    for count in (1, 2, 3):
        with pytest.raises(CallerError):
            await make_plan(house.settings, fold, count, lambda _: None)
    code, out, _ = await truelift(house.settings, "scale", "--partitions", "4", "--dry-run", "--json")
    assert (code, orjson.loads(out)["partitions"]) == (0, 4)
    assert (await fold_all(house.settings)).state.partitions.phase is None
    code, out, _ = await truelift(house.settings, "partitions", "--json", "--seconds", "0.5")
    found = orjson.loads(out)
    assert (code, found["group_state"]) == (0, "Stable")
    assert [group["partition"] for group in found["partitions"]] == [0, 1]
    assert {group["owner"] for group in found["partitions"]} != {None}
    assert sum(group["events"] for group in found["partitions"]) == len(traffic.sent)
    assert all(group["bytes"] > 0 for group in found["partitions"])
    assert await worker.stop() == 0


async def test_without_workers_the_groups_are_shown_and_belong_to_nobody(house: House) -> None:
    code, out, err = await truelift(house.settings, "partitions", "--json", "--seconds", "0.2")
    assert code == 0, err
    assert {group["owner"] for group in orjson.loads(out)["partitions"]} == {None}


async def test_units_outside_of_the_partition_of_their_key_stop_the_plan(
    house: House, make_worker: MakeWorker, journal: Journal
) -> None:
    """As librdkafka's default partitioner would have put them."""
    worker = make_worker().start()
    wrong = 1 - partition_of("u-2", 2)
    producer = AIOKafkaProducer(**house.settings.kafka())
    async with producer:
        topic, value = house.settings.topic("events.page_view"), orjson.dumps(envelope("page_view", "u-2"))
        sent = await producer.send_and_wait(topic, value, key=b"u-2", partition=wrong)
        await journal.until_has({("events.page_view", sent.partition, sent.offset)})
    code, _, err = await truelift(house.settings, "scale", "--partitions", "4", "--as", "ann")
    assert code == 2
    assert "u-2" in err
    assert "murmur2" in err
    assert (await fold_all(house.settings)).state.partitions.phase is None
    assert await worker.stop() == 0
