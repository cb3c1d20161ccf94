"""From a piece of a topic to rows of the read model, in one transaction with the piece's offset.

Owns what each topic adds. Refuses to judge: a record that is none of ours is counted and passed over, for a page must not stop
at what somebody else wrote into a topic.
"""

import sqlite3
import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import orjson

from app.console.quantiles import bin_of
from app.console.store import BUCKET_SECONDS, PLACES, ReadModel, prune
from app.contract.times import SECOND_US, parse_us
from app.contract.topics import DEADLETTER, DECISION_DELIVERY, EVENT_PREFIX, EXPOSURES, JOURNAL, OUTCOMES
from app.drill.users import is_treated
from app.warehouse.feed import Piece
from app.warehouse.rows import SourceRecord

TOPICS = (JOURNAL, EXPOSURES, OUTCOMES, DECISION_DELIVERY, DEADLETTER)
PACK_LEVEL = 1

_ADD = {
    "traffic": "INSERT INTO traffic VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET records = records + excluded.records",
    "reasons": "INSERT INTO reasons VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET records = records + excluded.records",
    "latency": "INSERT INTO latency VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET records = records + excluded.records",
    "shown": "INSERT INTO shown VALUES(?,?,?) ON CONFLICT DO UPDATE SET records = records + excluded.records",
    "served": "INSERT INTO served VALUES(?,?,?) ON CONFLICT DO UPDATE SET records = records + excluded.records",
    "assigned": "INSERT INTO arms VALUES(?,?,?,?,?,0,0) ON CONFLICT DO UPDATE SET assigned = assigned + excluded.assigned",
    "late": "INSERT INTO arms VALUES(?,?,?,?,0,?,0) ON CONFLICT DO UPDATE SET late = late + excluded.late",
    "exposed": "INSERT INTO arms VALUES(?,?,?,?,0,0,?) ON CONFLICT DO UPDATE SET exposed = exposed + excluded.exposed",
    "rendered": "INSERT INTO rendered VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE SET records = records + excluded.records",
    "outcomes": "INSERT INTO outcomes VALUES(?,?,?,?,?,?) ON CONFLICT DO UPDATE SET units = units + excluded.units",
    "strangers": (
        "INSERT INTO meta VALUES('strangers of ' || ?, ?) "
        "ON CONFLICT DO UPDATE SET value = CAST(value AS INTEGER) + excluded.value"
    ),
}


def take(model: ReadModel, pieces: Iterable[Piece]) -> None:
    """Rows and offsets of all pieces, or none of them."""
    with model.transaction() as writer:
        batch = _Batch(writer)
        ends: dict[tuple[str, int], int] = {}
        for piece in pieces:
            for record in piece.records:
                batch.take(record)
            writer.execute(
                "INSERT INTO offsets VALUES(?,?,?) ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
                (piece.topic, piece.partition, piece.next_offset),
            )
            ends[piece.topic, piece.partition] = piece.next_offset
        batch.write()
        prune(writer, batch.newest_bucket, ends)


class _Batch:
    """Sums are added up here, so that each row of a sum is touched once a transaction."""

    def __init__(self, writer: sqlite3.Connection) -> None:
        self.newest_bucket = 0
        self._writer = writer
        self._sums: dict[str, Counter[tuple[Any, ...]]] = {name: Counter() for name in _ADD}
        self._journal: list[tuple[Any, ...]] = []
        self._decisions: list[tuple[Any, ...]] = []
        self._steps: list[tuple[Any, ...]] = []
        self._governed: dict[int, int] = {}
        self._takers: dict[str, Callable[[SourceRecord, dict[str, Any]], None]] = {
            JOURNAL: self._take_journal,
            EXPOSURES: self._take_exposure,
            OUTCOMES: self._take_outcome,
            DECISION_DELIVERY: self._take_delivery,
            DEADLETTER: self._take_letter,
        }

    def take(self, record: SourceRecord) -> None:
        try:
            body = orjson.loads(record.value)
            self._takers[record.topic](record, body)
        except (KeyError, TypeError, ValueError, AttributeError):
            self._sums["strangers"][(record.topic,)] += 1

    def write(self) -> None:
        self._writer.executemany("INSERT INTO journal VALUES(?,?,?,?,?,?,?)", self._journal)
        self._writer.executemany("INSERT INTO decisions VALUES(?,?,?,?,?,?,?,?)", self._decisions)
        self._writer.executemany("INSERT OR IGNORE INTO steps VALUES(?,?,?,?,?)", self._steps)
        for name, sums in self._sums.items():
            self._writer.executemany(_ADD[name], [(*key, count) for key, count in sums.items()])

    def _take_journal(self, record: SourceRecord, body: dict[str, Any]) -> None:
        latency, event = body["latency"], _event(body["input"]["topic"])
        decided_us = parse_us(latency["decided_ts"])
        bucket = decided_us // SECOND_US // BUCKET_SECONDS
        place, status, by = record.partition * PLACES + record.offset, body["status"], body["governance_offset"]
        decisions = [self._decision(place, number, made, decided_us) for number, made in enumerate(body["decisions"])]
        packed = zlib.compress(record.value, PACK_LEVEL)
        self.newest_bucket = max(self.newest_bucket, bucket)
        self._journal.append((place, body["unit"], status, event, decided_us, by, packed))
        self._decisions += decisions
        self._sums["traffic"][(bucket, event, status)] += 1
        for made in body["decisions"]:
            self._sums["reasons"][(bucket, made["policy"], made["reason"])] += 1
            self._count_assignment(made)
        if decisions and (took := latency["signal_to_decision_ms"]) is not None:
            self._sums["latency"][(bucket, event, bin_of(took))] += 1
            self._note_budget(event, latency["budget_ms"])
        if "identity" in body:
            self._take_link(place, decided_us, body["identity"])
        if self._governed.get(record.partition) != by:
            self._governed[record.partition] = by
            self._writer.execute(
                "INSERT OR IGNORE INTO governed VALUES(?,?,?,?)", (record.partition, by, record.offset, decided_us)
            )

    def _decision(self, place: int, number: int, made: dict[str, Any], decided_us: int) -> tuple[Any, ...]:
        treated = int(is_treated(made))
        return place, number, made["policy"], made["rule_version"], made["variant"], made["reason"], treated, decided_us

    def _count_assignment(self, made: dict[str, Any]) -> None:
        if made["assignment_id"] is None:
            return
        self._writer.execute("INSERT OR IGNORE INTO assignments VALUES(?)", (UUID(made["assignment_id"]).bytes,))
        if self._changed():
            arm = made["policy"], made["rule_version"], made["variant"] or "", int(made["holdout"])
            self._sums["assigned"][arm] += 1
            self._sums["late"][arm] += bool(made["late"])

    def _changed(self) -> bool:
        (count,) = self._writer.execute("SELECT changes()").fetchone()
        return bool(count)

    def _take_link(self, place: int, at_us: int, said: dict[str, Any]) -> None:
        pair = said["anonymous"], said["user"]
        for unit, other in (pair, pair[::-1]):
            self._writer.execute("INSERT OR IGNORE INTO links VALUES(?,?,?,?)", (unit, other, place, at_us))

    def _step(self, ref: str, record: SourceRecord, at_us: int, said: str) -> None:
        """What became of a decision or an assignment, to be found by its id."""
        self._steps.append((UUID(ref).bytes, record.topic, record.partition * PLACES + record.offset, at_us, said))

    def _note_budget(self, event: str, budget_ms: int | None) -> None:
        if budget_ms is not None:
            self._writer.execute("INSERT OR REPLACE INTO budgets VALUES(?,?)", (event, budget_ms))

    def _take_exposure(self, record: SourceRecord, body: dict[str, Any]) -> None:
        shown = body["experiment"]
        bucket = parse_us(body["ts"]) // SECOND_US // BUCKET_SECONDS
        self._sums["shown"][(bucket, shown["key"])] += 1
        arm = shown["key"], shown["rule_version"], shown["variant"]
        self._sums["exposed"][(*arm, 0)] += 1
        if (took := body["latency"]["signal_to_render_ms"]) is not None:
            self._sums["rendered"][(*arm, bin_of(took))] += 1
        self._step(body["decision_id"], record, record.timestamp_ms * 1_000, f"{shown['variant']} shown")

    def _take_outcome(self, record: SourceRecord, body: dict[str, Any]) -> None:
        for joined in body["assignments"]:
            if not joined["within_window"]:
                continue
            place = UUID(joined["assignment_id"]).bytes, joined["outcome"]
            self._writer.execute("INSERT OR IGNORE INTO reached VALUES(?,?)", place)
            if self._changed():
                arm = joined["variant"] or "", int(joined["holdout"])
                self._sums["outcomes"][(joined["policy"], joined["rule_version"], joined["outcome"], *arm)] += 1
                self._step(joined["assignment_id"], record, record.timestamp_ms * 1_000, body["event_name"])

    def _take_delivery(self, record: SourceRecord, body: dict[str, Any]) -> None:
        bucket = record.timestamp_ms // 1_000 // BUCKET_SECONDS
        said = body["properties"]
        self._sums["served"][(bucket, str(said["served"]))] += 1
        if said.get("decision_id") is not None:  # there may have been nothing to serve
            self._step(said["decision_id"], record, parse_us(said["delivered_ts"]), f"{said['served']} served")

    def _take_letter(self, record: SourceRecord, body: dict[str, Any]) -> None:
        source = body["source"]
        original = zlib.compress(b64decode(body["original_base64"], validate=True), PACK_LEVEL)
        unit = None if record.key is None else record.key.decode(errors="replace")
        where = f"{source['topic']}:{source['partition']}:{source['offset']}"
        self._writer.execute(
            "INSERT INTO deadletters VALUES(?,?,?,?,?,?,?)",
            (
                record.partition * PLACES + record.offset,
                parse_us(body["ts"]),
                body["reason"],
                body["message"],
                unit,
                where,
                original,
            ),
        )


def _event(topic: str) -> str:
    """The event's name; of a record from elsewhere, its topic."""
    return topic.partition(EVENT_PREFIX)[2] or topic
