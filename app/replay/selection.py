"""Which journal records a replay is about. State is always built from the partition's beginning; only these are looked at."""

from typing import NamedTuple

from aiokafka.partitioner import murmur2

from app.contract.times import format_us, parse_us
from app.engine.values import InputRecord
from app.errors import CallerError
from app.replay.history import Journalled


class Bound(NamedTuple):
    """One end of a range: a journal offset or a decision time."""

    offset: int | None = None
    us: int | None = None

    @property
    def text(self) -> str | None:
        """As a report names it."""
        if self.us is not None:
            return format_us(self.us)
        return None if self.offset is None else str(self.offset)


OPEN = Bound()


class Selection(NamedTuple):
    """start inclusive, end exclusive. partition None: all. user: the unit's name."""

    start: Bound = OPEN
    end: Bound = OPEN
    partition: int | None = None
    user: str | None = None

    def includes(self, journalled: Journalled) -> bool:
        return (
            (self.user is None or journalled.unit == self.user) and self.has_begun(journalled) and not self.is_past(journalled)
        )

    def includes_input(self, record: InputRecord, journal_offset: int) -> bool:
        """For an input without a journal record: by its own time and key, and by where the journal passed it over."""
        start, end = self.start, self.end
        return (
            (self.user is None or record.key == self.user.encode())
            and (start.offset is None or journal_offset >= start.offset)
            and (end.offset is None or journal_offset < end.offset)
            and (start.us is None or record.appended_us >= start.us)
            and (end.us is None or record.appended_us < end.us)
        )

    def has_begun(self, journalled: Journalled) -> bool:
        return (self.start.offset is None or journalled.offset >= self.start.offset) and (
            self.start.us is None or journalled.decided_us >= self.start.us
        )

    def is_past(self, journalled: Journalled) -> bool:
        return (self.end.offset is not None and journalled.offset >= self.end.offset) or (
            self.end.us is not None and journalled.decided_us >= self.end.us
        )

    def partitions_of(self, there: list[int]) -> list[int]:
        """The journal partitions to read, of those there. CallerError for one that is not there."""
        if self.partition is not None:
            if self.partition not in there:
                raise CallerError(f"the journal has no partition {self.partition}", f"Give one of 0 to {len(there) - 1}")
            return [self.partition]
        return [partition_of(self.user, len(there))] if self.user is not None else there


EVERYTHING = Selection()


def partition_of(unit: str, partitions: int) -> int:
    """Kafka's default partitioner: murmur2 of the key, its sign bit cleared, modulo the partition count."""
    return int((murmur2(unit.encode()) & 0x7FFFFFFF) % partitions)


def read_bound(text: str | None) -> Bound:
    """'1200' is an offset, '2026-11-22T10:15:30Z' a time. CallerError for anything else."""
    if text is None:
        return Bound()
    if text.isdecimal():
        return Bound(offset=int(text))
    try:
        return Bound(us=parse_us(text))
    except ValueError:
        raise CallerError(f"{text!r} is neither a journal offset nor a time", "Write 1200 or 2026-11-22T10:15:30Z") from None
