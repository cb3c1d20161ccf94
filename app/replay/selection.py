"""Which journal records a replay is about. State is always built from the partition's beginning; only these are looked at."""

from collections.abc import Sequence
from typing import NamedTuple

from app.contract.partitions import partition_of
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

    @property
    def entry(self) -> Bound:
        """What a replay has to begin before, if it is to meet anything that is selected."""
        return self.end if self.start == OPEN else self.start

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

    def partitions_of(self, there: list[int], counts: Sequence[int] = ()) -> list[int]:
        """The journal partitions to read, of those there. CallerError for one that is not there.

        counts: partition counts that the installation has had; a user has lived in its partition under each.
        """
        if self.partition is not None:
            if self.partition not in there:
                raise CallerError(f"the journal has no partition {self.partition}", f"Give one of 0 to {len(there) - 1}")
            return [self.partition]
        user = self.user
        return there if user is None else sorted({partition_of(user, count) for count in (*counts, len(there))})


EVERYTHING = Selection()


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
