"""What each partition group is like now: who owns it, how far it is behind, how large it is, how fast it grows.

From Kafka's admin API and the topics' offsets alone, so it works with no worker running. Lag and rate are differences of
offsets, and so may count the markers of transactions: they are for the eye, and no law is proved by them.
"""

import time
from typing import Any, NamedTuple, Self

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import KafkaError
from rich.table import Table

from app.contract.topics import EVENT_PREFIX, IDENTITY_LINKS, JOURNAL, TICKS
from app.engine.values import TABLES
from app.reading import topics_here
from app.settings import Settings
from app.stream.config import changelog_of
from app.stream.log_dirs import partition_bytes

KIB = 1024


class Group(NamedTuple):
    """owner: the worker's id, None without one. lag: of the inputs. bytes: of all its partitions on the leaders' disks, None
    where the client may not ask. per_second: records appended to its event topics; skew: that rate to the mean of all groups.
    """

    partition: int
    owner: str | None
    host: str | None
    lag: int
    bytes: int | None
    events: int
    per_second: float | None
    skew: float | None


class Sample(NamedTuple):
    """state: of the consumer group, as Kafka calls it."""

    state: str
    groups: list[Group]

    def as_json(self) -> dict[str, Any]:
        groups = [group._asdict() for group in self.groups]
        return {"schema": "truelift.partitions/1", "group_state": self.state, "partitions": groups}


class _Owner(NamedTuple):
    worker: str
    host: str


class Sampler:
    """Use as an async context manager; the second `sample` has rates."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._before: tuple[float, dict[int, int]] | None = None  # (when, events appended by group)

    async def __aenter__(self) -> Self:
        self._topics = await topics_here(self._settings)
        self._admin = AIOKafkaAdminClient(**self._settings.kafka())
        self._consumer = AIOKafkaConsumer(**self._settings.kafka(), isolation_level="read_committed", enable_auto_commit=False)
        self._client = AIOKafkaClient(**self._settings.kafka())
        await self._admin.start()
        await self._consumer.start()
        await self._client.bootstrap()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        await self._consumer.stop()
        await self._admin.close()

    async def sample(self) -> Sample:
        self._topics = await topics_here(self._settings)
        inputs = [name for name in self._topics if name.startswith(EVENT_PREFIX) or name in (IDENTITY_LINKS, TICKS)]
        places = [self._place(name, partition) for name in inputs for partition in self._topics[name]]
        ends = await self._consumer.end_offsets(places)
        begins = await self._consumer.beginning_offsets(places)
        committed = await self._committed(places)
        state, owners = await self._owners()
        sizes = await self._bytes()
        events = dict.fromkeys(self._topics.get(JOURNAL, ()), 0)
        appended, lag = dict(events), dict(events)
        for place in places:
            if place.partition not in events:
                continue
            lag[place.partition] += ends[place] - max(committed.get(place, begins[place]), begins[place])
            if self._settings.topic_base(place.topic).startswith(EVENT_PREFIX):
                events[place.partition] += ends[place] - begins[place]
                appended[place.partition] += ends[place]
        rates = self._rates(appended)
        mean = sum(rates.values()) / len(rates) if rates else 0.0
        return Sample(
            state,
            [
                Group(
                    partition,
                    owners[partition].worker if partition in owners else None,
                    owners[partition].host if partition in owners else None,
                    lag[partition],
                    None if sizes is None else sizes.get(partition, 0),
                    events[partition],
                    rates.get(partition),
                    rates[partition] / mean if mean else None,
                )
                for partition in sorted(events)
            ],
        )

    def _place(self, name: str, partition: int) -> TopicPartition:
        return TopicPartition(self._settings.topic(name), partition)

    def _rates(self, appended: dict[int, int]) -> dict[int, float]:
        now, before = time.monotonic(), self._before
        self._before = now, appended
        if before is None:
            return {}
        return {partition: (total - before[1].get(partition, 0)) / (now - before[0]) for partition, total in appended.items()}

    async def _committed(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        found = await self._admin.list_consumer_group_offsets(self._settings.app_id, partitions=places)
        return {place: entry.offset for place, entry in found.items() if entry.offset >= 0}

    async def _owners(self) -> tuple[str, dict[int, _Owner]]:
        """(state of the consumer group, owner by partition): nobody's while the group shares its partitions anew."""
        (answer,) = await self._admin.describe_consumer_groups([self._settings.app_id])
        found: dict[int, _Owner] = {}
        group = answer.to_object()["groups"][0]
        for member in group["members"]:
            if not member["member_assignment"]:
                continue
            owner = _Owner(_worker_of(member), member["client_host"].lstrip("/"))
            for _, partitions in ConsumerProtocol.ASSIGNMENT.decode(member["member_assignment"]).assignment:
                found |= dict.fromkeys(partitions, owner)
        return group["state"], found

    async def _bytes(self) -> dict[int, int] | None:
        changelogs = [changelog_of(self._settings.app_id, table) for table in TABLES]
        here = {self._settings.topic(name): partitions for name, partitions in self._topics.items()}
        here |= {changelog: self._topics.get(JOURNAL, []) for changelog in changelogs}
        places = [TopicPartition(topic, partition) for topic, partitions in here.items() for partition in partitions]
        try:
            sizes = await partition_bytes(self._client, places)
        except KafkaError:
            return None  # without Describe on the cluster a broker tells nobody about its disks
        found: dict[int, int] = {}
        for place, size in sizes.items():
            found[place.partition] = found.get(place.partition, 0) + size
        return found or None


def _worker_of(member: dict[str, Any]) -> str:
    """The worker's own id, which survives its restarts; the member's where another client is in the group."""
    try:
        metadata = ConsumerProtocol.METADATA.decode(member["member_metadata"])
        return str(orjson.loads(metadata.user_data)["worker"]) or str(member["member_id"])
    except (ValueError, KeyError, TypeError):
        return str(member["member_id"])


def table_of(sample: Sample) -> Table:
    table = Table(title=f"partition groups, {sample.state or 'no consumer group'}", title_justify="left")
    for name in ("partition", "owner", "lag", "size", "events", "events/s", "skew"):
        table.add_column(name, justify="left" if name == "owner" else "right")
    for group in sample.groups:
        owner = "[dim]nobody[/dim]" if group.owner is None else f"{group.owner} @ {group.host}"
        table.add_row(
            str(group.partition),
            owner,
            f"{group.lag:,}",
            "·" if group.bytes is None else f"{group.bytes / KIB:,.0f} KiB",
            f"{group.events:,}",
            "·" if group.per_second is None else f"{group.per_second:,.1f}",
            "·" if group.skew is None else f"{group.skew:.2f}",
        )
    return table
