"""Creating and checking topics. Refuses to change one that exists: its partition count decides where each unit lives."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, LeaderNotAvailableError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.offset import OffsetRequest

from app.contract.topics import TopicSpec
from app.errors import OperatorError
from app.reach import answered
from app.settings import Settings
from app.stream.clients import RETRY_SECONDS, wait_for_broker

SERVED_DEADLINE_SECONDS = 60
LATEST = -1  # ListOffsets: the end of the partition
# What CreateTopics and Metadata answer for a topic that is not (yet) there.
_ABSENT = {UnknownTopicOrPartitionError.errno, LeaderNotAvailableError.errno}


async def ensure_topics(settings: Settings, specs: Sequence[TopicSpec]) -> list[str]:
    """Creates the missing topics, then checks all. Returns the names created, as on the cluster."""
    async with admin_client(settings) as admin:
        found = await partition_counts(admin, [settings.topic(spec.name) for spec in specs])
        missing = [spec for spec in specs if settings.topic(spec.name) not in found]
        created = await _create(admin, settings, missing) if missing else []
        await until_served(settings, created)
    await check_topics(settings, specs)
    return created


async def check_topics(settings: Settings, specs: Sequence[TopicSpec]) -> dict[str, int]:
    """Partition counts by cluster name; OperatorError that names every missing or differently partitioned topic."""
    wanted = {settings.topic(spec.name): spec.partitions or settings.partitions for spec in specs}
    async with admin_client(settings) as admin:
        found = await partition_counts(admin, wanted)
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        raise OperatorError(
            f"missing topic{_s(missing)} {', '.join(missing)} at {settings.bootstrap()}",
            "Create with `truelift topics init`",
        )
    different = [
        f"{topic} has {found[topic]} partitions, not {count}" for topic, count in wanted.items() if found[topic] != count
    ]
    if different:
        raise OperatorError(
            f"differently partitioned topic{_s(different)}: {'; '.join(different)}",
            "Set TRUELIFT_PARTITIONS to the count the cluster has, or use another TRUELIFT_TOPIC_PREFIX",
        )
    return found


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    await wait_for_broker(settings)
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def partition_counts(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, int]:
    """Of the topics that exist. Asked by name: a cluster may hold thousands of others."""
    answers = await admin.describe_topics(list(topics))
    for answer in answers:
        if answer["error_code"] and answer["error_code"] not in _ABSENT:
            what = f"topic {answer['topic']}: {for_code(answer['error_code']).__name__}"
            raise answered(answer["error_code"], answer["topic"]) or OperatorError(what, "Check the cluster's state")
    return {answer["topic"]: len(answer["partitions"]) for answer in answers if not answer["error_code"]}


async def _create(admin: AIOKafkaAdminClient, settings: Settings, specs: Sequence[TopicSpec]) -> list[str]:
    new = [
        NewTopic(
            settings.topic(spec.name),
            spec.partitions or settings.partitions,
            settings.replication_factor,
            topic_configs=spec.configs,
        )
        for spec in specs
    ]
    response = await admin.create_topics(new, timeout_ms=30_000)
    created = []
    for topic, code, *message in response.topic_errors:
        if code == 0:
            created.append(topic)
        elif code != TopicAlreadyExistsError.errno:  # another start was quicker: checked afterwards like any other
            why = f"{for_code(code).__name__} {' '.join(str(part) for part in message if part)}".strip()
            raise OperatorError(
                f"topic {topic} cannot be created: {why}",
                "Check the cluster's rights, its size and TRUELIFT_REPLICATION_FACTOR",
            )
    return created


async def until_served(settings: Settings, topics: Sequence[str], partitions: int = 1) -> None:
    """Creation is acknowledged before the brokers lead the new partitions; a client that comes too early is told NOT_LEADER.

    partitions: that each topic has at least.
    """
    if not topics:
        return
    client = AIOKafkaClient(**settings.kafka())
    try:
        async with asyncio.timeout(SERVED_DEADLINE_SECONDS):
            await client.bootstrap()
            while not await _all_served(client, topics, partitions):  # noqa: ASYNC110 -- the broker has no event for it
                await asyncio.sleep(RETRY_SECONDS)
    except (TimeoutError, KafkaError) as error:
        raise OperatorError(
            f"the new topics {', '.join(topics)} are not served within {SERVED_DEADLINE_SECONDS} s", "Check the broker's log"
        ) from error
    finally:
        await client.close()


async def _all_served(client: AIOKafkaClient, topics: Sequence[str], partitions: int) -> bool:
    """Whether every partition's leader answers for it (ListOffsets)."""
    await client.set_topics(topics)
    await client.force_metadata_update()
    by_leader: dict[int, dict[str, list[tuple[int, int]]]] = {}
    for topic in topics:
        known = client.cluster.partitions_for_topic(topic) or ()
        if len(known) < partitions:
            return False
        for partition in known:
            leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
            by_leader.setdefault(leader, {}).setdefault(topic, []).append((partition, LATEST))
    if -1 in by_leader or {topic for asked in by_leader.values() for topic in asked} != set(topics):
        return False
    for leader, asked in by_leader.items():
        answer = await client.send(leader, OffsetRequest(-1, 0, list(asked.items())))
        if any(partition[1] for _, partitions in answer.topics for partition in partitions):
            return False
    return True


def _s(many: Sequence[str]) -> str:
    return "s" if len(many) > 1 else ""
