"""What a checkpoint says: where each partition stands, how many rows it has there and their hash. Its digest covers all of it.

A function of the topics up to that point and of nothing else: made anew, on any machine, from the beginning or from an earlier
checkpoint, it is the same bytes.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from app.contract.canonical import canonical
from app.replay.position import Position

SCHEMA = "truelift.checkpoint/1"
NAME_DIGITS = 16


class Section(NamedTuple):
    """One partition. records: journal records compared up to here, from the first. rows: by table. sha256: of the row lines."""

    partition: int
    position: Position
    records: int
    rows: Mapping[str, int]
    sha256: str


class Manifest(NamedTuple):
    """sections: by partition, in order. engine_semantics: of the engine that compared."""

    engine_semantics: int
    sections: Mapping[int, Section]

    def raw(self) -> bytes:
        """RFC 8785: one content has one spelling."""
        sections = [{**section._asdict(), "position": section.position._asdict()} for section in self.sections.values()]
        return canonical({"schema": SCHEMA, "engine_semantics": self.engine_semantics, "partitions": sections})

    @property
    def digest(self) -> str:
        return digest_of(self.raw())

    @property
    def name(self) -> str:
        """Of its file: the same content has the same name."""
        return f"checkpoint-{self.digest[:NAME_DIGITS]}.zip"

    @property
    def records(self) -> int:
        return sum(section.records for section in self.sections.values())

    @property
    def rows(self) -> int:
        return sum(count for section in self.sections.values() for count in section.rows.values())


def digest_of(raw: bytes) -> str:
    return sha256(raw).hexdigest()


def manifest_of(raw: bytes) -> Manifest:
    """Of bytes whose digest somebody vouches for: what made them wrote all fields."""
    body = orjson.loads(raw)
    sections = (_section(fields) for fields in body["partitions"])
    return Manifest(body["engine_semantics"], {section.partition: section for section in sections})


def _section(fields: dict[str, Any]) -> Section:
    return Section(**fields | {"position": Position(**fields["position"])})
