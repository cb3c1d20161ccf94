"""Adding partitions to topics that exist. Refuses to decide whether that may be; governance has said so before.

Kafka cannot take a partition away again, and a key that was hashed over the old count is hashed over the new one by everybody
who learns of it: whoever calls this has a protocol for what follows.
"""

from collections.abc import Sequence

from aiokafka.admin import NewPartitions
from aiokafka.errors import KafkaError

from app.errors import OperatorError
from app.settings import Settings
from app.stream.admin import admin_client, partition_counts, until_served

TIMEOUT_MS = 60_000


async def expand_topics(settings: Settings, topics: Sequence[str], count: int) -> list[str]:
    """Brings `topics` (names on the cluster) to `count` partitions; those that were expanded now, served by their leaders."""
    async with admin_client(settings) as admin:
        found = await partition_counts(admin, topics)
        smaller = sorted(topic for topic in topics if found[topic] < count)
        if smaller:
            try:
                await admin.create_partitions({topic: NewPartitions(count) for topic in smaller}, timeout_ms=TIMEOUT_MS)
            except KafkaError as error:
                raise OperatorError(
                    f"the topics cannot be expanded to {count} partitions: {type(error).__name__} {error}",
                    "Grant this user Alter on the topics, check the cluster's size, and run the command again",
                ) from error
    await until_served(settings, topics, count)
    return smaller
