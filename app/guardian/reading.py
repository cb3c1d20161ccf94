"""The topics of the guardian into a ledger: from where the ledger stands to the end, or up to named offsets."""

from collections.abc import Mapping

from app.errors import OperatorError
from app.guardian.intake import SOURCES, facts
from app.guardian.ledger import Ledger
from app.reading import PartitionReader, topics_here
from app.settings import Settings
from app.warehouse.feed import Feed, Marks, Piece

WAIT_MS = 100
PIECE_RECORDS = 2_000


async def places(settings: Settings) -> dict[str, list[int]]:
    """Topic -> its partitions. OperatorError: one is missing."""
    here = await topics_here(settings)
    missing = sorted(settings.topic(topic) for topic in SOURCES if topic not in here)
    if missing:
        raise OperatorError(f"missing topic {', '.join(missing)}", "Create with `truelift topics init`")
    return {topic: here[topic] for topic in SOURCES}


def feed(settings: Settings, ledger: Ledger, topics: Mapping[str, list[int]]) -> Feed:
    # Retention takes deliveries after the audit window: whoever was judged by them has long been.
    return Feed(settings, topics, Marks(ledger.next_offset, ledger.next_offset), accept_loss=True)


def take(ledger: Ledger, piece: Piece) -> None:
    found = [
        (record.timestamp_ms * 1_000, fact) for record in piece.records for fact in facts(piece.topic, record.key, record.value)
    ]
    ledger.take(piece.topic, piece.partition, found, piece.next_offset)


async def replay(settings: Settings, ledger: Ledger, offsets: Mapping[str, Mapping[str, int]]) -> None:
    """Every record before these offsets, from the topics alone."""
    for topic, partitions in offsets.items():
        for partition, end in partitions.items():
            async with PartitionReader(settings.kafka(), settings.topic(topic), int(partition)) as reader:
                if reader.begin > 0:
                    what = f"retention has removed the beginning of {topic}/{partition}"
                    raise OperatorError(what, "It cannot be replayed any more: keep what the guardian said")
                found = []
                while (record := await reader.take()) is not None and record.offset < end:
                    found += [(record.timestamp_ms * 1_000, fact) for fact in facts(topic, record.key, record.value)]
                    if len(found) >= PIECE_RECORDS:
                        ledger.take(topic, int(partition), found, record.offset + 1)
                        found = []
                ledger.take(topic, int(partition), found, end)
