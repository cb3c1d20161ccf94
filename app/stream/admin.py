"""Creating and checking topics. Refuses to change one that exists: its partition count decides where each unit lives."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, LeaderNotAvailableError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from app.contract.topics import TopicSpec
from app.errors import OperatorError
from app.settings import Settings
from app.stream.clients import RETRY_SECONDS, wait_for_broker

SERVED_DEADLINE_SECONDS = 60
# What CreateTopics and Metadata answer for a topic that is not (yet) there.
_ABSENT = {UnknownTopicOrPartitionError.errno, LeaderNotAvailableError.errno}


async def ensure_topics(settings: Settings, specs: Sequence[TopicSpec]) -> list[str]:
    """Creates the missing topics, then checks all. Returns the names created, as on the cluster."""
    async with admin_client(settings) as admin:
        found = await partition_counts(admin, [settings.topic(spec.name) for spec in specs])
        missing = [spec for spec in specs if settings.topic(spec.name) not in found]
        created = await _create(admin, settings, missing) if missing else []
        await _until_served(settings, admin, created)
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
            raise OperatorError(
                f"topic {answer['topic']}: {for_code(answer['error_code']).__name__}",
                "Check the cluster's rights and state",
            )
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


async def _until_served(settings: Settings, admin: AIOKafkaAdminClient, topics: Sequence[str]) -> None:
    """Creation is acknowledged before every broker knows of it; a client that comes too early is told NOT_LEADER."""
    if not topics:
        return
    try:
        async with asyncio.timeout(SERVED_DEADLINE_SECONDS):
            while len(counts := await partition_counts(admin, topics)) < len(topics):  # noqa: ASYNC110 -- the broker has no event for it
                await asyncio.sleep(RETRY_SECONDS)
            async with AIOKafkaConsumer(**settings.kafka()) as consumer:
                partitions = [TopicPartition(t, p) for t, count in counts.items() for p in range(count)]
                consumer.assign(partitions)  # else aiokafka looks for one topic after the other, 0.1 s each
                # Asked of each leader, and asked again by aiokafka until it serves.
                await consumer.end_offsets(partitions)
    except (TimeoutError, KafkaError) as error:
        raise OperatorError(
            f"the new topics {', '.join(topics)} are not served within {SERVED_DEADLINE_SECONDS} s", "Check the broker's log"
        ) from error


def _s(many: Sequence[str]) -> str:
    return "s" if len(many) > 1 else ""
