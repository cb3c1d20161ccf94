"""Which topics are expanded: all that are partitioned like the inputs, and the changelogs. Reads; changes nothing."""

from collections.abc import Collection, Mapping

from app.contract.topics import EVENT_PREFIX, topic_specs
from app.engine.values import TABLES
from app.errors import OperatorError
from app.settings import Settings
from app.stream.admin import admin_client, partition_counts
from app.stream.config import changelog_of

# The names of an installation's topics do not depend on it.
_ANY_BYTES = 1 << 20


async def counts_of(settings: Settings, event_types: Collection[str]) -> dict[str, int]:
    """{topic, by its name on the cluster: its partitions}. OperatorError when one of the contract's is not there.

    Types that the catalogue has dropped count too, as it may take them back; a changelog is there once a worker has run.
    """
    needed = [settings.topic(spec.name) for spec in topic_specs(event_types, _ANY_BYTES) if spec.partitions is None]
    changelogs = [changelog_of(settings.app_id, table) for table in TABLES]
    async with admin_client(settings) as admin:
        events = {name for name in await admin.list_topics() if name.startswith(settings.topic(EVENT_PREFIX))}
        found = await partition_counts(admin, sorted({*needed, *changelogs, *events}))
    if missing := sorted(set(needed) - found.keys()):
        raise OperatorError(f"missing topic {', '.join(missing)}", "Create with `truelift topics init`, then scale")
    return found


def common_count(found: Mapping[str, int]) -> int:
    """The one count that all topics have. OperatorError that names those that differ from most."""
    counts = sorted(found.values())
    usual = counts[len(counts) // 2]
    if different := sorted(f"{topic} has {count}" for topic, count in found.items() if count != usual):
        raise OperatorError(
            f"the topics have {usual} partitions each, but {'; '.join(different)}",
            "Expand those that have less with Kafka's own tools, or make them anew; then scale",
        )
    return usual
