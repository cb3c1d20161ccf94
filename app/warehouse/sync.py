"""sync: from the topics to the tables, each record exactly once.

The topics are read from the lowest offset that any table still needs; each table takes a record only from its own offset on.
So a kill between two tables' commits costs reading again, and nothing else. Memory is bounded by one batch.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

from app.contract.topics import GOVERNANCE
from app.errors import OperatorError
from app.reading import topics_here
from app.settings import Settings
from app.warehouse.columns import SOURCES, TABLES, Table
from app.warehouse.feed import Feed, GovernanceFeed, Loss, Marks, Piece
from app.warehouse.housekeeping import Housekeeping
from app.warehouse.rows import Values, rows_of
from app.warehouse.store import Progress, Store

# One batch is at most so many rows (and the pieces of one fetch more): some hundred megabytes at the widest.
BATCH_ROWS = 40_000
WAIT_MS = 100
# A transaction that is open now may still bring records that were made before: not before so long is a moment settled.
SETTLING_SECONDS = 60
# A table that gets no rows is told how far it has come nevertheless: seldom, since each time is a snapshot.
MARK_RECORDS = 100_000
MARK_SECONDS = 300
_MICROS = 1_000_000
REQUIRED = frozenset(SOURCES[:4])

Positions = dict[str, dict[int, int]]


class Synced(NamedTuple):
    """What one run did. rows: by table."""

    rows: dict[str, int]
    commits: int
    losses: list[Loss]


class Sync:
    """One run. say: told of what a person should know. settling_seconds: 0 where nobody writes any more."""

    def __init__(
        self, settings: Settings, store: Store, say: Callable[[str], None], settling_seconds: float = SETTLING_SECONDS
    ) -> None:
        self._settings = settings
        self._store = store
        self._say = say
        self._settling_us = round(settling_seconds * _MICROS)
        self._progress: dict[str, Progress] = {}
        self._pending: dict[str, list[Values]] = defaultdict(list)
        self._positions: Positions = defaultdict(dict)
        self._housekeeping = Housekeeping(store)
        self._rows: dict[str, int] = defaultdict(int)
        self._commits = 0

    async def run(self, *, follow: bool, commit_seconds: float, stopping: asyncio.Event, accept_loss: bool) -> Synced:
        """Until the end that the topics have now; follow: until `stopping` is set, committing every `commit_seconds`."""
        topics = await self._topics()
        self._store.prepare()
        self._progress = {table.name: self._store.progress(table.name) for table in TABLES}
        async with AsyncExitStack() as stack:
            governance = await stack.enter_async_context(GovernanceFeed(self._settings))
            self._take(await governance.take())
            self._store.bind(governance.genesis)
            marks = Marks(lambda *place: min(self._reached(*place)), lambda *place: max(self._reached(*place)))
            feed = await stack.enter_async_context(Feed(self._settings, topics, marks, accept_loss=accept_loss))
            self._note(feed.losses)
            last = False
            while not last:
                last = await self._fill(feed, commit_seconds if follow else None, stopping)
                self._take(await governance.take())
                self._commit(await self._settled(feed), final=last)
                if follow and not last:
                    await feed.look()
            self._housekeeping.tidy()
        return Synced(dict(self._rows), self._commits, feed.losses)

    async def _topics(self) -> dict[str, list[int]]:
        here = await topics_here(self._settings)
        missing = sorted(self._settings.topic(topic) for topic in REQUIRED - here.keys())
        if missing:
            raise OperatorError(
                f"missing topic {', '.join(missing)} at {self._settings.bootstrap()}", "Create with `truelift topics init`"
            )
        return {topic: here[topic] for topic in SOURCES if topic in here and topic != GOVERNANCE}

    def _reached(self, topic: str, partition: int) -> list[int]:
        """The next offset of each table that is filled from this topic."""
        return [self._progress[table.name].next_offset(topic, partition) for table in TABLES if topic in table.topics]

    async def _fill(self, feed: Feed, commit_seconds: float | None, stopping: asyncio.Event) -> bool:
        """A batch. commit_seconds None: no further than the last look. True when it is to be the last one."""
        deadline = None if commit_seconds is None else time.monotonic() + commit_seconds
        while sum(map(len, self._pending.values())) < BATCH_ROWS:
            if stopping.is_set():
                return True
            for piece in await feed.take(WAIT_MS):
                self._take(piece)
            if deadline is None and await feed.reached():
                return True
            if deadline is not None and time.monotonic() >= deadline:
                break
        return stopping.is_set()

    def _take(self, piece: Piece) -> None:
        self._positions[piece.topic][piece.partition] = piece.next_offset
        needs = {
            table.name: self._progress[table.name].next_offset(piece.topic, piece.partition)
            for table in TABLES
            if piece.topic in table.topics
        }
        for record in piece.records:
            for table, values in rows_of(record):
                if record.offset >= needs[table]:
                    self._pending[table].append(values)

    async def _settled(self, feed: Feed) -> int | None:
        """The moment before which everything is read, if the end as last looked at has been reached."""
        reached = await feed.reached()
        for (topic, partition), offset in feed.positions().items():
            self._positions[topic][partition] = offset
        return feed.asked_us - self._settling_us if reached else None

    def _commit(self, settled_us: int | None, *, final: bool) -> None:
        for table in TABLES:
            rows = self._pending.pop(table.name, [])
            now = self._advanced(table, settled_us)
            if rows or _worth_a_mark(self._progress[table.name], now, final=final):
                self._store.append(table.name, rows, now)
                self._progress[table.name] = now
                self._rows[table.name] += len(rows)
                self._commits += 1
                self._housekeeping.committed(table.name)

    def _advanced(self, table: Table, settled_us: int | None) -> Progress:
        before = self._progress[table.name]
        offsets = {topic: dict(before.offsets.get(topic, {})) for topic in table.topics}
        for topic, at in offsets.items():
            for partition, offset in self._positions.get(topic, {}).items():
                at[partition] = max(offset, at.get(partition, 0))
        return Progress({topic: at for topic, at in offsets.items() if at}, settled_us or before.synced_us)

    def _note(self, losses: list[Loss]) -> None:
        """Nothing is lost in silence: a row says what retention took."""
        for loss in losses:
            self._say(f"lost to retention: {loss}")
            self._pending["unreadable"].append(
                {
                    "topic": loss.topic,
                    "kafka_partition": loss.partition,
                    "kafka_offset": loss.end - 1,
                    "row_index": 0,
                    "recorded_ts": time.time_ns() // 1000,
                    "problem": f"retention removed {loss} before it was synced",
                }
            )


def _worth_a_mark(before: Progress, now: Progress, *, final: bool) -> bool:
    """A commit without rows: at the end of a run, or when much has gone by since the last one."""
    if final:
        return now != before
    read = sum(sum(at.values()) for at in now.offsets.values()) - sum(sum(at.values()) for at in before.offsets.values())
    passed_us = (now.synced_us or 0) - (before.synced_us or 0)
    return read >= MARK_RECORDS or passed_us >= MARK_SECONDS * _MICROS
