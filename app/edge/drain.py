"""The spool's way to Kafka: oldest first, a segment at a time, removed when Kafka has all of it.

Owns: that a repetition is recognised however late it comes. The worker knows an event id for `dedup_window_seconds` of broker
time after it was appended. A record that waits here is appended later than it was received, so a copy of it that went another
way (a retry that another edge took, an append whose acknowledgement was lost) may have left the window by then. Such a copy
can only lie in one stretch of the log, where it is looked for (repeats.py); what is found becomes a dead letter.

A crash between append and removal appends a segment again; what that repeats is recognised the same way.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping

from app.edge.appender import Appender
from app.edge.letters import repeated
from app.edge.record import Record
from app.edge.repeats import Late, copies_in_log, identity
from app.edge.rules import Rules
from app.edge.spool import Spool
from app.settings import Settings

log = logging.getLogger(__name__)

# A shorter delay shortens the window by as much; no sender's last retry is due to the second.
LATE_US = 60_000_000
# One segment; more than an acknowledgement may take, since a broker that has just come back is slow.
APPEND_SECONDS = 10.0


class SpoolDrain:
    """`begin`, then `move`. rules, topics: as they are at that moment."""

    def __init__(
        self,
        settings: Settings,
        kafka: Appender,
        spool: Spool,
        rules: Callable[[], Rules],
        topics: Callable[[], Collection[str]],
    ) -> None:
        self._settings = settings
        self._kafka = kafka
        self._spool = spool
        self._rules = rules
        self._topics = topics
        self._copies: Mapping[bytes, int] = {}

    async def begin(self) -> None:
        """Connects, and asks the log about what has waited long; what comes from now on has not."""
        await self._kafka.connect(self._topics(), self._rules().record_bytes)
        late = await self._late()
        if late:
            self._copies = await copies_in_log(self._settings, late, self._rules().dedup_window_us)
            said = "%d spooled events waited longer than %d s; %d of them are in the log already"
            log.warning(said, len(late), LATE_US // 1_000_000, len(self._copies))

    async def move(self, until_bytes: int) -> int:
        """Until no more than `until_bytes` wait; how many records went. Raises what the appender raises."""
        moved = 0
        while self._spool.bytes > until_bytes and (segments := self._spool.segments):
            records = await self._spool.read(segments[0])
            if records:
                async with asyncio.timeout(APPEND_SECONDS):
                    await self._kafka.append([self._once(record) for record in records])
            await self._spool.remove(segments[0])
            moved += len(records)
        return moved

    async def _late(self) -> Late:
        due_us = time.time_ns() // 1_000 - LATE_US
        late = Late()
        for segment in self._spool.segments:
            for record in await self._spool.read(segment):
                if record.event_id and record.received_us < due_us:
                    late.add(record)
        return late

    def _once(self, record: Record) -> Record:
        if not self._copies or not record.event_id:
            return record
        offset = self._copies.get(identity(record.topic, record.key, record.event_id))
        return record if offset is None else repeated(record, offset)
