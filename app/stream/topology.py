"""What the cluster has of the topics that a worker reads and writes, checked before the first record.

Owns: co-partitioning of the inputs, existence and size limits of the outputs, creation of the changelogs.
Refuses: creating or changing any other topic. A missing or differently partitioned one is an error that names it.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, LeaderNotAvailableError, TopicAlreadyExistsError, for_code

from app.errors import OperatorError
from app.reach import answered, explained
from app.stream.config import TOMBSTONE_DAYS, GroupCount, TopicSize, Topology, WorkerConfig

_MISSING = {3, LeaderNotAvailableError.errno}
_CREATE_TIMEOUT_MS = 30_000
# A changelog that was created a moment ago is not known to every broker yet.
SPREAD_SECONDS = 10.0
SPREAD_POLL_SECONDS = 0.02
_DAY_MS = 86_400_000


async def check_topology(config: WorkerConfig, topology: Topology) -> tuple[int, dict[str, TopicSize]]:
    """(the number of partition groups, {topic that may be written: its size}); creates missing changelogs."""
    admin = AIOKafkaAdminClient(**config.kafka)
    try:
        await admin.start()
    except KafkaConnectionError as error:
        raise await explained(error, config.kafka, "the topics of this app") from error
    try:
        return await _check(admin, config, topology)
    finally:
        await admin.close()


async def grown_topology(config: WorkerConfig, topology: Topology) -> tuple[int, dict[str, TopicSize]]:
    """The same when the count has grown a moment ago: brokers learn of new partitions one after the other."""
    deadline = time.monotonic() + SPREAD_SECONDS
    while True:
        try:
            return await check_topology(config, topology)
        except OperatorError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(SPREAD_POLL_SECONDS)


async def _check(admin: AIOKafkaAdminClient, config: WorkerConfig, topology: Topology) -> tuple[int, dict[str, TopicSize]]:
    inputs = sorted({agent.topic for agent in topology.agents})
    found = await _partitions(admin, {*inputs, *topology.outputs})
    changelogs = [config.changelog(table) for table in topology.tables]
    wanted = topology.group_count() or _one_count(inputs, found)
    alike = [*inputs, *topology.copartitioned]
    _compare({topic: count for topic, count in topology.outputs.items() if count is not None}, found)
    _compare_groups(alike, wanted, found)
    await _ensure_changelogs(admin, config, changelogs, wanted)
    limits = await _record_limits(admin, [*topology.outputs, *changelogs])
    # A partition that belongs to no group yet is none for this worker.
    counts = found | dict.fromkeys([*alike, *changelogs], wanted.groups)
    sizes = {topic: TopicSize(counts[topic], min(limit, config.max_request_bytes)) for topic, limit in limits.items()}
    return wanted.groups, sizes


async def _partitions(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, int]:
    """{topic: partition count}; OperatorError that names all missing ones."""
    known = await _existing(admin, topics)
    if missing := sorted(set(topics) - set(known)):
        raise OperatorError(
            f"missing topic{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            "Create with `truelift topics init`, or correct the name",
        )
    return known


async def _existing(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, int]:
    wanted = sorted(topics)
    answers = await admin.describe_topics(wanted) if wanted else []
    for answer in answers:
        if answer["error_code"] and answer["error_code"] not in _MISSING:
            what = f"topic {answer['topic']}: {for_code(answer['error_code']).__name__}"
            raise answered(answer["error_code"], answer["topic"]) or OperatorError(what, "Check the cluster's state")
    return {answer["topic"]: len(answer["partitions"]) for answer in answers if not answer["error_code"]}


def _one_count(inputs: list[str], found: Mapping[str, int]) -> GroupCount:
    """The partition count of all inputs: a group is the same partition of each, so they must agree."""
    if not inputs:
        raise OperatorError("the app has no agents", "Declare at least one with @app.agent(topic)")
    return GroupCount(found[inputs[0]])


def _compare_groups(topics: Iterable[str], wanted: GroupCount, found: Mapping[str, int]) -> None:
    """While the topics are being expanded, each has either count."""
    _compare({topic: wanted.groups for topic in topics if wanted.target is None or found[topic] != wanted.target}, found)


def _compare(wanted: Mapping[str, int], found: Mapping[str, int]) -> None:
    if different := [f"{topic} has {found[topic]}, not {count}" for topic, count in wanted.items() if found[topic] != count]:
        raise OperatorError(
            f"differently partitioned: {'; '.join(different)}",
            "Create them with one partition count: a partition group is the same partition of each",
        )


async def _ensure_changelogs(
    admin: AIOKafkaAdminClient, config: WorkerConfig, changelogs: list[str], wanted: GroupCount
) -> None:
    found = await _existing(admin, changelogs)
    new = [
        NewTopic(
            topic,
            wanted.groups,
            config.replication_factor,
            topic_configs={
                "cleanup.policy": "compact",
                # A store that was away for less than this cannot have missed a deletion.
                "delete.retention.ms": str(TOMBSTONE_DAYS * _DAY_MS),
                "max.message.bytes": str(config.max_request_bytes),
            },
        )
        for topic in changelogs
        if topic not in found
    ]
    if new:
        answer = await admin.create_topics(new, timeout_ms=_CREATE_TIMEOUT_MS)
        for topic, code, *_ in answer.topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):
                what = f"the changelog {topic} cannot be created: {for_code(code).__name__}"
                raise answered(code, topic) or OperatorError(what, "Check the cluster's state")
        found |= {topic.name: wanted.groups for topic in new}
    _compare_groups(changelogs, wanted, found)


async def _record_limits(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, int]:
    """{topic: max.message.bytes}. An output above it must be refused when it is sent, not when its transaction commits."""
    deadline = time.monotonic() + SPREAD_SECONDS
    limits: dict[str, int] = {}
    while wanted := sorted(set(topics) - set(limits)):
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": None}) for topic in wanted]
        for answer in await admin.describe_configs(resources):
            for code, _, _, topic, entries in answer.resources:
                if code == 0:
                    limits[topic] = next(int(entry[1]) for entry in entries if entry[0] == "max.message.bytes")
                elif code not in _MISSING or time.monotonic() > deadline:
                    what = f"the settings of topic {topic} cannot be read: {for_code(code).__name__}"
                    raise answered(code, topic) or OperatorError(what, "Check the cluster's state")
        if len(limits) < len(set(topics)):
            await asyncio.sleep(SPREAD_POLL_SECONDS)
    return limits
