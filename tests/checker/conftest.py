"""The small history of the replay tests, with the changelogs and disks that its workers would have left."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka import AIOKafkaProducer

from app.contract.topics import TopicSpec
from app.engine.values import TABLES
from app.settings import Settings
from app.stream.admin import ensure_topics
from tables.store import Store
from tests.replay.world import PARTITIONS, World, publish


class Left(NamedTuple):
    """What is there to be checked. store: of a worker's disk."""

    settings: Settings
    disk: Path

    def store(self, table: str, partition: int = 0) -> Path:
        return self.disk / "stores" / f"{table}-{partition}.db"


Publish = Callable[[World], Awaitable[Left]]


@pytest.fixture(scope="session")
def history() -> World:
    """Made once; tests change copies. It lies an hour back, so that no time in it is in the future."""
    return World((int(time.time()) - 3600) * 1000).run()


@pytest.fixture
def world(history: World) -> World:
    return history.copy()


@pytest.fixture
def left(make_settings: Callable[..., Settings]) -> Publish:
    """Puts a world on the broker, its rows too, and into the stores of one worker."""

    async def put(world: World) -> Left:
        settings = make_settings(partitions=PARTITIONS, root_public_key=world.root)
        await publish(world, settings)
        found = Left(settings, settings.data_dir / "workers" / settings.app_id / "w-0")
        changelogs = settings.model_copy(update={"topic_prefix": ""})
        names = {table: f"{settings.app_id}-{table}-changelog" for table in TABLES}
        await ensure_topics(changelogs, [TopicSpec(name, None, {"cleanup.policy": "compact"}) for name in names.values()])
        async with AIOKafkaProducer(**settings.kafka(), enable_idempotence=True) as producer:
            for (table, partition), rows in world.changes.items():
                sent = [await producer.send(names[table], key=key, value=value, partition=partition) for key, value in rows]
                store = Store(found.store(table, partition))
                store.apply(dict(rows), (await asyncio.gather(*sent))[-1].offset)
                store.close()
        return found

    return put
