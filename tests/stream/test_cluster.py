"""Three embedded brokers as one cluster: what was acknowledged survives the loss of any one of them."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.contract.topics import TopicSpec
from app.errors import CallerError
from app.settings import Settings
from app.stream.admin import ensure_topics
from app.stream.cluster import EmbeddedCluster


def test_an_even_number_of_nodes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="odd"):
        EmbeddedCluster(tmp_path, 2)


@pytest.mark.kafka
@pytest.mark.slow
async def test_appends_go_on_without_a_leader_that_was_killed_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    cluster = await asyncio.to_thread(EmbeddedCluster(tmp_path, 3).start)
    try:
        settings = Settings(broker=cluster.address, data_dir=tmp_path, partitions=3, replication_factor=3)
        await ensure_topics(settings, [TopicSpec("kept", None, {})])
        places = [TopicPartition("kept", partition) for partition in range(3)]
        async with AIOKafkaProducer(**settings.kafka(), acks="all", enable_idempotence=True) as producer:
            for moment in (b"before", b"without it", b"with it again"):
                for place in places:
                    await producer.send_and_wait("kept", moment, partition=place.partition)
                if moment == b"before":
                    killed = cluster.brokers[producer.client.cluster.leader_for_partition(places[0])]
                    await asyncio.to_thread(killed.kill)
                elif moment == b"without it":
                    await asyncio.to_thread(killed.start)
        async with AIOKafkaConsumer(**settings.kafka()) as consumer:
            consumer.assign(places)
            await consumer.seek_to_beginning()
            found = [(await consumer.getone()).value for _ in range(9)]
        assert sorted(found) == sorted([b"before", b"without it", b"with it again"] * 3)
    finally:
        await asyncio.to_thread(cluster.stop)
