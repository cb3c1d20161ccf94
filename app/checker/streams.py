"""Two ways of reading a topic beside the journal: inputs by the offset that is named, outputs by the id that is named.

Each reads forward once and keeps little: what was skipped (it may still come, out of order) and which ids were seen.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import orjson

from app.reading import PartitionReader, StoredRecord

# Inputs that were passed over are remembered so far, to tell "late" from "lost".
SKIPPED_KEPT = 100_000
LOOKAHEAD_RECORDS = 256
MARKERS_WAIT_SECONDS = 2.0

Place = Literal["next", "again", "late", "absent"]


class InputStream:
    """next: as expected. again: journalled before. late: passed over before. absent: not there. A tick may come again."""

    def __init__(
        self, name: str, reader: PartitionReader, *, is_tick: bool, each: Callable[[StoredRecord], None] | None = None
    ) -> None:
        """each: told of every record of the topic, once."""
        self.name = name
        self._each = each
        self.count = 0
        self.skipped: dict[int, None] = {}
        self.lost_beyond = 0
        self.last: StoredRecord | None = None
        self._reader = reader
        self._is_tick = is_tick

    async def at(self, offset: int) -> tuple[Place, StoredRecord | None]:
        if self.last is not None and offset <= self.last.offset:
            if offset in self.skipped:
                del self.skipped[offset]
                return "late", None
            return ("next", self.last) if self._is_tick and offset == self.last.offset else ("again", None)
        while (stored := await self._reader.peek()) is not None and stored.offset <= offset:
            await self._reader.take()
            self.count += 1
            self.last = stored
            if self._each is not None:
                self._each(stored)
            if stored.offset == offset:
                return "next", stored
            self._skip(stored)
        return "absent", None

    async def rest(self, each: Callable[[StoredRecord], None] = lambda _: None) -> int:
        """Reads to the end; how many that were."""
        count = 0
        while (stored := await self._reader.take()) is not None:
            count += 1
            each(stored)
            if self._each is not None:
                self._each(stored)
        self.count += count
        return count

    def _skip(self, stored: StoredRecord) -> None:
        if self._is_tick:
            return
        if len(self.skipped) < SKIPPED_KEPT:
            self.skipped[stored.offset] = None
        else:
            self.lost_beyond += 1


class Found(NamedTuple):
    """What an output topic holds where an id was expected. extra: records before it that nobody named, with their id."""

    record: StoredRecord | None
    body: dict[str, Any]
    extra: list[tuple[StoredRecord, str]]


class OutputStream:
    """One output topic of a partition. id_of: the id of a body, None for one that is no business of this partition's inputs."""

    def __init__(self, name: str, reader: PartitionReader, id_of: Callable[[dict[str, Any]], str | None]) -> None:
        self.name = name
        self._reader = reader
        self._id_of = id_of
        self._waited = False

    async def expect(self, wanted: str) -> Found:
        await self._pass_foreign()
        if await self._reader.peek() is None and not self._waited:
            self._waited = not await self._reader.extend(MARKERS_WAIT_SECONDS)
        # Nearly always it is the next one: only when it is not is it looked for.
        first = await self._reader.upcoming(1)
        ahead = first if first and self._id(first[0]) == wanted else await self._reader.upcoming(LOOKAHEAD_RECORDS)
        for i, stored in enumerate(ahead):
            if self._id(stored) == wanted:
                for _ in range(i + 1):
                    await self._reader.take()
                return Found(stored, orjson.loads(stored.value), self._named(ahead[:i]))
        return Found(None, {}, [])

    async def rest(self) -> list[tuple[StoredRecord, str]]:
        """Up to `LOOKAHEAD_RECORDS` records that are left."""
        left: list[StoredRecord] = []
        while len(left) < LOOKAHEAD_RECORDS and (stored := await self._reader.take()) is not None:
            left.append(stored)
        return self._named(left)

    async def _pass_foreign(self) -> None:
        while (stored := await self._reader.peek()) is not None and self._id(stored) is None:
            await self._reader.take()

    def _named(self, records: Sequence[StoredRecord]) -> list[tuple[StoredRecord, str]]:
        return [(stored, name) for stored in records if (name := self._id(stored)) is not None]

    def _id(self, stored: StoredRecord) -> str | None:
        """'' for what is no record of this topic: nobody names it."""
        try:
            return self._id_of(orjson.loads(stored.value))
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return ""
