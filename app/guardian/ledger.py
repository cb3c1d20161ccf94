"""The guardian's people: since when each is assigned, and when each first met what guardrails count; and how the scores of
models lie, hour by hour. SQLite, one file.

Owns the one promise of the guardian: the facts of a record and the offset behind it are one transaction, so that a kill at any
time neither loses nor doubles one. Refuses order: of each kind of fact the earliest is kept, and scores are counted, so that
the same records give the same ledger however their topics came interleaved. It can be thrown away: the topics make it anew.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from app.contract.times import HOUR_US
from app.guardian.guardrails import LATE, NOT_RENDERED, RENDER_SECONDS, Watched
from app.guardian.intake import Fact

IN_MEMORY = Path(":memory:")
_RENDER_US = RENDER_SECONDS * 1_000_000
# Raised when records would give other facts than before: a ledger of another layout is made anew from the topics.
LAYOUT = 2
_EMPTY = f"""
DROP TABLE IF EXISTS facts; DROP TABLE IF EXISTS scores; DROP TABLE IF EXISTS judged; DROP TABLE IF EXISTS offsets;
PRAGMA user_version = {LAYOUT};
"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (
  policy TEXT, version INTEGER, kind TEXT, role TEXT, unit TEXT, arm TEXT, at_us INTEGER,
  PRIMARY KEY (policy, version, kind, role, unit)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
  policy TEXT, version INTEGER, name TEXT, hour INTEGER, cell INTEGER, decisions INTEGER,
  PRIMARY KEY (policy, version, name, hour, cell)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS judged (only INTEGER PRIMARY KEY CHECK (only = 1), until_us INTEGER);
CREATE TABLE IF NOT EXISTS offsets (topic TEXT, partition INTEGER, next_offset INTEGER, PRIMARY KEY (topic, partition));
"""
_KEEP = """
INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET at_us = excluded.at_us, arm = excluded.arm WHERE excluded.at_us < at_us
"""
_COUNT = """
INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET decisions = decisions + excluded.decisions
"""
_SCORES = """
SELECT name, hour, cell, decisions FROM scores
WHERE policy = :policy AND version = :version AND hour >= :since AND hour < :until ORDER BY 1, 2, 3
"""
# Each: (arm, hour, people) of those who came to be at risk, and of those who met it, both of people assigned before until_us.
_PEOPLE = "facts AS p WHERE p.policy = :policy AND p.version = :version AND p.kind = 'assigned' AND p.at_us >= :since"
_OTHER = "facts AS f ON f.policy = p.policy AND f.version = p.version AND f.unit = p.unit AND f.kind"
_AT_RISK = f"SELECT p.arm, p.at_us / :hour, count(*) FROM {_PEOPLE} AND p.at_us < :until GROUP BY 1, 2"
_MET = f"""
SELECT p.arm, max(f.at_us, p.at_us) / :hour, count(*) FROM facts AS p JOIN {_OTHER} = :kind AND f.role = :role
WHERE p.policy = :policy AND p.version = :version AND p.kind = 'assigned'
AND p.at_us >= :since AND p.at_us < :until AND f.at_us < :until
GROUP BY 1, 2
"""
_DELIVERED = f"""
SELECT p.arm, (f.at_us + :wait) / :hour, count(*), sum(s.unit IS NULL OR s.at_us > f.at_us + :wait)
FROM facts AS p JOIN {_OTHER} = 'delivered'
LEFT JOIN facts AS s ON s.policy = p.policy AND s.version = p.version AND s.unit = p.unit AND s.kind = 'shown'
WHERE p.policy = :policy AND p.version = :version AND p.kind = 'assigned' AND p.at_us >= :since AND f.at_us + :wait < :until
GROUP BY 1, 2
"""


class Span(NamedTuple):
    """until_us: the end of a closed hour. since_us: a resume begins the question anew, else 0."""

    since_us: int
    until_us: int


# arm -> hour since 1970 -> people
Hours = dict[str, dict[int, int]]
# score's name -> hour since 1970 -> cell (cells.py) -> decisions
Scores = dict[str, dict[int, dict[int, int]]]


class Ledger:
    """`with Ledger(path) as ledger`. path IN_MEMORY: for a verification."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        if self._path != IN_MEMORY:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        if self._connection.execute("PRAGMA user_version").fetchone() != (LAYOUT,):
            self._connection.executescript(_EMPTY)
        self._connection.executescript(_SCHEMA)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def next_offset(self, topic: str, partition: int) -> int:
        found = self._connection.execute(
            "SELECT next_offset FROM offsets WHERE topic = ? AND partition = ?", (topic, partition)
        ).fetchone()
        return int(found[0]) if found else 0

    def offsets(self) -> dict[str, dict[str, int]]:
        """topic -> partition -> the next one."""
        found: dict[str, dict[str, int]] = {}
        for topic, partition, offset in self._connection.execute("SELECT * FROM offsets ORDER BY 1, 2"):
            found.setdefault(topic, {})[str(partition)] = offset
        return found

    def take(self, topic: str, partition: int, found: Iterable[tuple[int, Fact]], next_offset: int) -> None:
        """found: (microseconds of the record, fact)."""
        kept, counted = [], Counter[tuple[str, int, str, int, int]]()
        for at_us, fact in found:
            if fact.kind == "scored":
                name, cell = fact.what.split(" ")
                counted[fact.policy, fact.version, name, at_us // HOUR_US, int(cell)] += 1
            else:
                kept.append(_row(at_us, fact))
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(_KEEP, kept)
            self._connection.executemany(_COUNT, [(*place, decisions) for place, decisions in counted.items()])
            self._connection.execute("INSERT OR REPLACE INTO offsets VALUES (?, ?, ?)", (topic, partition, next_offset))
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def mark_judged(self, until_us: int) -> None:
        """Every policy has been judged up to the end of this hour."""
        self._connection.execute("INSERT OR REPLACE INTO judged VALUES (1, ?)", (until_us,))

    def judged_us(self) -> int:
        found = self._connection.execute("SELECT until_us FROM judged").fetchone()
        return int(found[0]) if found else 0

    def counts(self, policy: str, version: int, rail: Watched, span: Span) -> tuple[Hours, Hours]:
        """(who came to be at risk, who met it), by arm and hour, of people assigned within the span. Of a metric that is no
        event a person is at risk in one hour alone."""
        given = {
            "policy": policy,
            "version": version,
            "since": span.since_us,
            "until": span.until_us,
            "hour": HOUR_US,
            "wait": _RENDER_US,
            "role": "",
        }
        if rail.metric == NOT_RENDERED and not rail.is_event:
            rows = self._connection.execute(_DELIVERED, given).fetchall()
            return _hours((arm, hour, people) for arm, hour, people, _ in rows), _hours((a, h, met) for a, h, _, met in rows)
        kind, role = ("met", rail.role) if rail.is_event else ("late", "")
        met = self._connection.execute(_MET, given | {"kind": kind, "role": role})
        return _hours(self._connection.execute(_AT_RISK, given)), _hours(met)

    def scores(self, policy: str, version: int, span: Span) -> Scores:
        """Decisions by cell, of each hour that lies within the span as a whole."""
        given = {"policy": policy, "version": version}
        hours = {"since": -(-span.since_us // HOUR_US), "until": span.until_us // HOUR_US}
        found: Scores = {}
        for name, hour, cell, decisions in self._connection.execute(_SCORES, given | hours):
            found.setdefault(name, {}).setdefault(hour, {})[cell] = decisions
        return found


def is_once(rail: Watched) -> bool:
    """Whether a person is at risk in one hour alone, or from then on until it is met."""
    return not rail.is_event and rail.metric in (LATE, NOT_RENDERED)


def _row(at_us: int, fact: Fact) -> tuple[str, int, str, str, str, str, int]:
    arm, role = (fact.what, "") if fact.kind == "assigned" else ("", fact.what)
    return fact.policy, fact.version, fact.kind, role, fact.unit, arm, at_us


def _hours(rows: Iterable[tuple[str, int, int]]) -> Hours:
    found: Hours = {}
    for arm, hour, people in rows:
        found.setdefault(arm, {})[hour] = people
    return found
