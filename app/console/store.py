"""The read model: one SQLite file in the data folder, whose rows and Kafka offsets are written in the same transaction.

So a crash leaves either a piece of a topic with its offset or neither, and nothing is counted twice. The file is a copy: delete
it, and the next start reads the topics again. It holds what users did, so its owner alone may read it. Refuses a file of
another installation or another layout: that one is made anew.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.contract.topics import JOURNAL
from app.errors import OperatorError
from app.secret_files import OWNER_ONLY

LAYOUT = "2"
BUSY_SECONDS = 10.0
# A place is one whole number, so that rows lie in a partition's order: partition * PLACES + offset.
PLACES = 1 << 40
# Of each topic, this many of the newest offsets of each partition stay; totals of all time do.
KEPT_OFFSETS = 2_000_000
BUCKET_SECONDS = 10
KEPT_BUCKETS = 24 * 3_600 // BUCKET_SECONDS

_SCHEMA = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE offsets(topic TEXT, partition INTEGER, next_offset INTEGER, PRIMARY KEY(topic, partition)) WITHOUT ROWID;
CREATE TABLE journal(place INTEGER PRIMARY KEY, unit TEXT, status TEXT, event TEXT, decided_us INTEGER,
    governance_offset INTEGER, body BLOB);
CREATE INDEX journal_unit ON journal(unit, place);
CREATE TABLE decisions(place INTEGER, number INTEGER, policy TEXT, rule_version INTEGER, variant TEXT, reason TEXT,
    treated INTEGER, decided_us INTEGER, PRIMARY KEY(place, number)) WITHOUT ROWID;
CREATE INDEX decisions_policy ON decisions(policy, treated, decided_us);
CREATE TABLE governed(partition INTEGER, governance_offset INTEGER, first_offset INTEGER, decided_us INTEGER,
    PRIMARY KEY(partition, governance_offset)) WITHOUT ROWID;
CREATE TABLE traffic(bucket INTEGER, event TEXT, status TEXT, records INTEGER,
    PRIMARY KEY(bucket, event, status)) WITHOUT ROWID;
CREATE TABLE reasons(bucket INTEGER, policy TEXT, reason TEXT, records INTEGER,
    PRIMARY KEY(bucket, policy, reason)) WITHOUT ROWID;
CREATE TABLE latency(bucket INTEGER, event TEXT, bin INTEGER, records INTEGER, PRIMARY KEY(bucket, event, bin)) WITHOUT ROWID;
CREATE TABLE shown(bucket INTEGER, policy TEXT, records INTEGER, PRIMARY KEY(bucket, policy)) WITHOUT ROWID;
CREATE TABLE served(bucket INTEGER, served TEXT, records INTEGER, PRIMARY KEY(bucket, served)) WITHOUT ROWID;
CREATE TABLE budgets(event TEXT PRIMARY KEY, budget_ms INTEGER) WITHOUT ROWID;
CREATE TABLE assignments(assignment_id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE arms(policy TEXT, rule_version INTEGER, variant TEXT, holdout INTEGER, assigned INTEGER, late INTEGER,
    exposed INTEGER, PRIMARY KEY(policy, rule_version, variant, holdout)) WITHOUT ROWID;
CREATE TABLE rendered(policy TEXT, rule_version INTEGER, variant TEXT, bin INTEGER, records INTEGER,
    PRIMARY KEY(policy, rule_version, variant, bin)) WITHOUT ROWID;
CREATE TABLE steps(ref BLOB, topic TEXT, place INTEGER, at_us INTEGER, said TEXT, PRIMARY KEY(ref, topic, place)) WITHOUT ROWID;
CREATE INDEX steps_place ON steps(topic, place);
CREATE TABLE links(unit TEXT, other TEXT, place INTEGER, at_us INTEGER, PRIMARY KEY(unit, other)) WITHOUT ROWID;
CREATE TABLE reached(assignment_id BLOB, outcome TEXT, PRIMARY KEY(assignment_id, outcome)) WITHOUT ROWID;
CREATE TABLE outcomes(policy TEXT, rule_version INTEGER, outcome TEXT, variant TEXT, holdout INTEGER, units INTEGER,
    PRIMARY KEY(policy, rule_version, outcome, variant, holdout)) WITHOUT ROWID;
CREATE TABLE deadletters(place INTEGER PRIMARY KEY, dead_us INTEGER, reason TEXT, message TEXT, unit TEXT, source TEXT,
    original BLOB);
CREATE INDEX deadletters_reason ON deadletters(reason, place);
CREATE INDEX deadletters_dead ON deadletters(dead_us);
CREATE INDEX deadletters_source ON deadletters(source);
"""
_TABLES_OF_BUCKETS = ("traffic", "reasons", "latency", "shown", "served")


class ReadModel:
    """One writer, many readers, each thread with a connection of its own."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._threads = threading.local()
        self._writing = threading.Lock()

    def open(self, genesis: str) -> None:
        """genesis: what tells this installation's log from any other; a file of another one, or layout, is begun anew."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        if self.file.exists() and self._identity() != (LAYOUT, genesis):
            self.delete()
        if not self.file.exists():
            os.close(os.open(self.file, os.O_WRONLY | os.O_CREAT, OWNER_ONLY))
            with self.transaction() as writer:
                writer.executescript(_SCHEMA)
                writer.executemany("INSERT INTO meta VALUES(?, ?)", [("layout", LAYOUT), ("genesis", genesis)])

    def delete(self) -> None:
        """Its copy is gone; the topics have everything."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self.file.with_name(self.file.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        """This thread's connection."""
        connection = getattr(self._threads, "connection", None)
        if connection is not None:
            connection.close()
            self._threads.connection = None

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a question, read at one moment."""
        return self._connection().execute(sql, parameters).fetchall()

    def offsets(self) -> dict[tuple[str, int], int]:
        """(topic, partition) -> where it goes on."""
        return {(topic, partition): at for topic, partition, at in self.rows("SELECT * FROM offsets")}

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, one writer at a time."""
        with self._writing:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            if connection.in_transaction:  # a script commits by itself
                connection.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        known = getattr(self._threads, "connection", None)
        if known is not None:
            return known  # type: ignore[no-any-return]
        try:
            connection = sqlite3.connect(self.file, timeout=BUSY_SECONDS, isolation_level=None)
            # Without a flush a power cut may cost the newest transactions whole, offsets too: they are read again.
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-32768", "temp_store=MEMORY"):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            raise OperatorError(f"the read model {self.file} cannot be opened ({error})", "Delete it: it is rebuilt") from error
        self._threads.connection = connection
        return connection

    def _identity(self) -> tuple[str, str] | None:
        try:
            found = dict(self.rows("SELECT name, value FROM meta"))
            return found["layout"], found["genesis"]
        except (sqlite3.Error, KeyError, OperatorError):
            return None


def prune(writer: sqlite3.Connection, bucket: int, ends: dict[tuple[str, int], int]) -> None:
    """Keeps the file within its bounds. ends: by topic and partition."""
    for table in _TABLES_OF_BUCKETS:
        writer.execute(f"DELETE FROM {table} WHERE bucket < ?", (bucket - KEPT_BUCKETS,))
    for (topic, partition), end in ends.items():
        if end > KEPT_OFFSETS:
            first = partition * PLACES
            gone = first, first + end - KEPT_OFFSETS
            writer.execute("DELETE FROM steps WHERE topic = ? AND place >= ? AND place < ?", (topic, *gone))
            for table in ("journal", "decisions") if topic == JOURNAL else ():
                writer.execute(f"DELETE FROM {table} WHERE place >= ? AND place < ?", gone)
