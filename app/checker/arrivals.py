"""A link as the checker reads it: the record that it brings from another partition, or the rows of a unit."""

from base64 import b64decode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from app.checker import ids
from app.reading import StoredRecord

LINKS = "identity_links"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rows(NamedTuple):
    """A unit's rows. seen: key of each id -> its append time, us; timers: id -> due time."""

    facts: bytes
    assignments: bytes
    seen: dict[bytes, int]
    timers: dict[str, str]

    @property
    def digest(self) -> str:
        return ids.state_digest(self.facts, self.assignments)


class Arrivals:
    """Parts of units that have not arrived whole, by unit."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Any]] = {}

    def take(self, link: dict[str, Any]) -> Rows | None:
        """None until the last part has come."""
        parts = self._parts.setdefault(link["unit"], [])
        parts.append(link["rows"])
        if link["part"] < link["parts"] - 1:
            return None
        del self._parts[link["unit"]]
        return rows_of(entry for part in parts for entry in part)


def rows_of(entries: Iterable[Any]) -> Rows:
    """Of what a link carries: table, key and value, as base64."""
    rows = Rows(b"", b"", {}, {})
    for table, key, value in entries:
        rows = _with(rows, table, b64decode(key), b64decode(value))
    return rows


def adoption_in(stored: StoredRecord) -> dict[str, Any]:
    """The adopt link that the record is, or brings; {} for any other."""
    link = read_link(stored)
    inner = _parsed(brought(link)) if link.get("kind") == "forward" else link
    return inner if inner.get("kind") == "adopt" else {}


def read_link(stored: StoredRecord) -> dict[str, Any]:
    """{} for what is no link."""
    return _parsed(stored.value)


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        link = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return link if isinstance(link, dict) and "link_id" in link else {}


def brought(link: dict[str, Any]) -> bytes:
    """The record that a link brings; b"" when it brings none."""
    return b64decode(link["origin"]["value_base64"]) if link.get("kind") == "forward" else b""


def _with(rows: Rows, table: str, key: bytes, value: bytes) -> Rows:
    if table == "eligibility":
        return rows._replace(facts=value)
    if table == "assignments":
        return rows._replace(assignments=value)
    if table == "seen":
        return rows._replace(seen={**rows.seen, key: int.from_bytes(value[:8])})
    timer = ids.timer_of(key)
    due = (_EPOCH + timedelta(microseconds=int.from_bytes(key[1:9]))).isoformat()
    return rows if timer is None else rows._replace(timers={**rows.timers, timer: due})


def acknowledged(topic: str, record: StoredRecord | None) -> dict[str, Any] | None:
    """What the record says was rendered, whether it came itself or in a link."""
    if record is None:
        return None
    try:
        said = orjson.loads(brought(read_link(record)) if topic == LINKS else record.value)["experiment"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return said if isinstance(said, dict) else None
