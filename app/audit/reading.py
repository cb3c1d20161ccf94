"""The raw topics, read once from their oldest record to their end, for what they hold about one policy."""

from collections.abc import Callable
from typing import Any

import orjson

from app.audit.facts import Facts
from app.audit.findings import Place
from app.contract.topics import EXPERIMENT_EXPOSURE, EXPOSURES, JOURNAL, OUTCOMES
from app.errors import OperatorError
from app.reading import PartitionReader, StoredRecord, topics_here
from app.settings import Settings

TOPICS = (JOURNAL, EXPERIMENT_EXPOSURE, EXPOSURES, OUTCOMES)


async def read_facts(settings: Settings, key: str) -> Facts:
    """OperatorError when a topic is not there."""
    facts, here = Facts(key), await topics_here(settings)
    missing = [settings.topic(topic) for topic in TOPICS if topic not in here]
    if missing:
        raise OperatorError(
            f"missing topic {', '.join(missing)} at {settings.bootstrap()}", "Create with `truelift topics init`"
        )
    takes = _takes(facts)
    for topic in TOPICS:
        facts.read[topic] = 0
        for partition in here[topic]:
            await _read(settings, topic, partition, facts, takes[topic])
    return facts


def _takes(facts: Facts) -> dict[str, Callable[[Place, StoredRecord, dict[str, Any]], None]]:
    def unit(stored: StoredRecord) -> str:
        return (stored.key or b"").decode(errors="replace")

    return {
        JOURNAL: lambda place, _, body: facts.take_journal(place, body),
        EXPERIMENT_EXPOSURE: lambda place, _, body: facts.take_acknowledgement(place, body),
        EXPOSURES: lambda place, stored, body: facts.take_exposure(place, unit(stored), body),
        OUTCOMES: lambda place, stored, body: facts.take_outcome(place, unit(stored), body, stored.timestamp_ms),
    }


async def _read(
    settings: Settings,
    topic: str,
    partition: int,
    facts: Facts,
    take: Callable[[Place, StoredRecord, dict[str, Any]], None],
) -> None:
    wanted = facts.key.encode()
    async with PartitionReader(settings.kafka(), settings.topic(topic), partition) as reader:
        if reader.begin > 0:
            facts.taken_by_retention.append(str(Place(topic, partition, reader.begin)))
        while (stored := await reader.take()) is not None:
            facts.read[topic] += 1
            # Most records are about other policies: a search of bytes passes over them without decoding.
            body = _body(stored) if wanted in stored.value else None
            if body is not None:
                take(Place(topic, partition, stored.offset), stored, body)


def _body(stored: StoredRecord) -> dict[str, Any] | None:
    """None for what is no JSON object: an input may be anything, and was rejected then."""
    try:
        body = orjson.loads(stored.value)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None
