"""Sync on a real broker: every committed record once, whatever happens to the process, and nothing lost in silence."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from app.errors import OperatorError
from app.settings import Settings
from app.warehouse.columns import TABLES
from app.warehouse.lake import opened
from app.warehouse.store import Progress, Store
from app.warehouse.sync import Sync, Synced
from tests.replay.conftest import Publish
from tests.replay.conftest import history as history
from tests.replay.conftest import published as published
from tests.replay.conftest import world as world
from tests.replay.world import PARTITIONS, World
from tests.warehouse import syncing
from tests.warehouse.syncing import Death, Life, Verdict, judge, random_death

pytestmark = pytest.mark.kafka

OUTPUTS = ("decisions", "exposures", "outcomes")
ENDED_SECONDS = 120
# Of one life: more commits than the deaths that are planned for it need.
PORTION_TRANSACTIONS = 25
Start = Callable[..., Awaitable[Life]]


async def _sync(settings: Settings, *, accept_loss: bool = False, said: list[str] | None = None) -> Synced:
    with Store.open(settings) as store:
        sync = Sync(settings, store, (said if said is not None else []).append)
        return await sync.run(follow=False, commit_seconds=1, stopping=asyncio.Event(), accept_loss=accept_loss)


def _rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with Store.open(settings) as store, opened(store, settings.warehouse() / "spill") as lake:
        lake.use_raw()
        return lake.rows(query)


@pytest.fixture
def start() -> Iterator[Start]:
    """A sync as a process; none outlives the test."""
    lives: list[Life] = []

    async def live(settings: Settings, **how: Any) -> Life:
        lives.append(await asyncio.to_thread(syncing.start, settings, **how))
        return lives[-1]

    yield live
    for life in lives:
        life.process.kill()
        life.process.join()


async def _ended(life: Life) -> int:
    await asyncio.to_thread(life.process.join, ENDED_SECONDS)
    assert life.process.exitcode is not None, "it does not end"
    return life.process.exitcode


async def test_every_committed_record_is_there_once_and_a_second_sync_adds_nothing(world: World, published: Publish) -> None:
    settings = await published(world)

    first = await _sync(settings)
    assert await judge(settings) == Verdict({}, {})
    assert first.rows["journal"] == world.journalled
    again = await _sync(settings)
    assert sum(again.rows.values()) == 0
    assert await judge(settings) == Verdict({}, {})
    with Store.open(settings) as store:
        reached = [store.progress(table.name) for table in TABLES]
    assert all(progress.synced_us is not None for progress in reached)
    assert {table.name for table in TABLES if not store.load(table.name).metadata.snapshots} == set()


async def test_what_is_no_record_of_its_topic_is_kept_as_it_came(world: World, published: Publish) -> None:
    settings = await published(world)
    async with AIOKafkaProducer(**settings.kafka()) as producer:
        for value in (b"\x00 not JSON", b"[]", b'{"schema":"truelift.exposure/1"}'):
            await producer.send_and_wait(settings.topic("exposures"), value, b"u", 0)

    rows = (await _sync(settings)).rows
    assert (rows["unreadable"], rows["exposures"]) == (3, len(world.topics["exposures", 0]) + len(world.topics["exposures", 1]))
    assert _rows(settings, "SELECT count(*), count(problem), min(topic) FROM unreadable") == [(3, 3, "exposures")]


async def test_what_retention_took_stops_the_sync_until_the_loss_is_accepted_and_written_down(
    world: World, published: Publish
) -> None:
    settings = await published(world)
    with Store.open(settings) as store:
        store.prepare()
        for table in TABLES:
            if "outcomes" in table.topics:
                store.append(table.name, [], Progress({"outcomes": {0: 5}}, None))
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    await admin.delete_records({TopicPartition(settings.topic("outcomes"), 0): RecordsToDelete(before_offset=9)})
    await admin.close()

    with pytest.raises(OperatorError, match="outcomes partition 0, offsets 5 to 8"):
        await _sync(settings)
    said: list[str] = []
    assert len((await _sync(settings, accept_loss=True, said=said)).losses) == 1
    assert said == ["lost to retention: outcomes partition 0, offsets 5 to 8"]
    (problem,) = _rows(settings, "SELECT problem FROM unreadable")
    assert "offsets 5 to 8" in problem[0]


async def test_another_installations_topics_are_refused(
    world: World, published: Publish, make_settings: Callable[..., Settings]
) -> None:
    settings = await published(world)
    await _sync(settings)

    with Store.open(settings) as store:
        store.prepare()
        store.append("outcomes", [], Progress({"outcomes": {0: 10_000}}, None))
    with pytest.raises(OperatorError, match="up to offset 10000, but it ends at"):
        await _sync(settings)
    with Store.open(settings) as store:
        store.prepare()
        with pytest.raises(OperatorError, match="another installation"):
            store.bind("the hash of another log's first record")
    with Store.open(make_settings(topic_prefix="other.")) as store, pytest.raises(OperatorError, match="prefix"):
        store.prepare()


async def test_following_it_takes_in_new_partitions_and_ends_in_order(world: World, published: Publish, start: Start) -> None:
    settings = await published(world)
    await _sync(settings)
    life = await start(settings, follow=True)
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    await admin.create_partitions({settings.topic("exposures"): NewPartitions(PARTITIONS + 1)})
    await admin.close()
    async with AIOKafkaProducer(**settings.kafka()) as producer:
        await producer.send_and_wait(settings.topic("exposures"), world.topics["exposures", 0][0].value, b"u", PARTITIONS)

    async with asyncio.timeout(60):
        while not _rows(settings, f"SELECT 1 FROM exposures WHERE kafka_partition = {PARTITIONS}"):  # noqa: ASYNC110
            await asyncio.sleep(0.2)  # another process's tables: nothing to be woken by
    life.process.terminate()
    assert await _ended(life) == 0
    assert (await judge(settings)).exact


class Load:
    """What a worker leaves behind, over and over: a portion at a time, in transactions of which every fifth is aborted."""

    def __init__(self, settings: Settings, world: World, producer: AIOKafkaProducer) -> None:
        self._settings = settings
        self._topics = {place: records for place, records in world.topics.items() if place[0] in OUTPUTS}
        self._producer = producer

    async def portion(self) -> None:
        for number in range(PORTION_TRANSACTIONS):
            await self._producer.begin_transaction()
            for (topic, partition), stored in self._topics.items():
                for record in stored[number % 7 * 5 : number % 7 * 5 + 5]:
                    await self._producer.send(self._settings.topic(topic), record.value, record.key, partition)
            await (self._producer.abort_transaction() if number % 5 == 4 else self._producer.commit_transaction())


@pytest.mark.slow
async def test_thirty_kills_neither_lose_nor_double_a_row(world: World, published: Publish, start: Start) -> None:
    settings, rng = await published(world), random.Random(7)
    kafka = settings.kafka() | {"retry_backoff_ms": 5}
    async with AIOKafkaProducer(**kafka, transactional_id=f"{settings.app_id}-load") as producer:
        load = Load(settings, world, producer)
        for number in range(30):
            # A third at any moment, in merges and between commits too; the others right before or after a commit.
            death = None if number % 3 == 0 else random_death(number)
            life = await start(settings, follow=True, death=death)
            portion = asyncio.create_task(load.portion())
            if death is None:
                assert await asyncio.to_thread(life.commits.wait, ENDED_SECONDS), "it does not commit"
                await asyncio.sleep(rng.uniform(0, 0.8))  # the moment is what is tested
                life.process.kill()
            assert await _ended(life) == -signal.SIGKILL
            await portion
    await _sync(settings)

    assert await judge(settings) == Verdict({}, {})
    with Store.open(settings) as store:
        operations = {snapshot.summary.operation.value for snapshot in store.load("journal").metadata.snapshots}
    assert "overwrite" in operations, "no merge was under fire"


async def test_offsets_beside_the_commit_instead_of_in_it_are_found_out(world: World, published: Publish, start: Start) -> None:
    settings = await published(world)
    assert await _ended(await start(settings, follow=False, death=Death("between", 3), beside=True)) == -signal.SIGKILL
    assert await _ended(await start(settings, follow=False, beside=True)) == 0

    found = await judge(settings)
    assert found.doubled
    assert not found.lost
