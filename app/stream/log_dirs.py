"""How many bytes each partition takes on its leader's disk (DescribeLogDirs, KIP-113), which aiokafka 0.14 does not ask."""

# aiokafka has no types: its classes are Any here.
# mypy: allow-subclassing-any, no-warn-return-any

from collections.abc import Collection
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

from app.stream import protocol as wire

TEXT = String("utf-8")


class DescribeLogDirsResponseV1(Response):
    API_KEY = 35
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "dirs",
            Array(
                ("error_code", Int16),
                ("log_dir", TEXT),
                (
                    "topics",
                    Array(
                        ("topic", TEXT),
                        (
                            "partitions",
                            Array(("partition", Int32), ("size", Int64), ("offset_lag", Int64), ("is_future", Boolean)),
                        ),
                    ),
                ),
            ),
        ),
    )


class DescribeLogDirsRequestV1(RequestStruct):
    API_KEY = 35
    API_VERSION = 1
    RESPONSE_TYPE = DescribeLogDirsResponseV1
    SCHEMA = Schema(("topics", Array(("topic", TEXT), ("partitions", Array(Int32)))))


async def partition_bytes(client: AIOKafkaClient, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """Of those that a broker tells of; a client without Describe on the cluster learns nothing."""
    await client.set_topics({place.topic for place in places})
    await client.force_metadata_update()
    by_leader: dict[int, dict[str, list[int]]] = {}
    for place in places:
        leader = client.cluster.leader_for_partition(place)
        if leader is not None and leader >= 0:
            by_leader.setdefault(leader, {}).setdefault(place.topic, []).append(place.partition)
    found: dict[TopicPartition, int] = {}
    for leader, asked in by_leader.items():
        request = wire.ExactRequest(DescribeLogDirsRequestV1, topics=list(asked.items()))
        answer: Any = await client.send(leader, request)
        for code, _, topics in answer.dirs:
            for topic, partitions in topics if code == 0 else ():
                found |= {TopicPartition(topic, partition): size for partition, size, _, future in partitions if not future}
    return found
