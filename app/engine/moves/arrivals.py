"""What a partition remembers while units change their partition: rows of its `timers` table under keys of their own.

Owns how many of a unit's records are away, the parts of a unit that has not arrived whole, and how far the partition has come.
Refuses to say where a unit lives; that is places.py's.
"""

from typing import NamedTuple

from app.engine.rows import PROGRESS_KEY, away_key, decode, encode, part_key, unit_key
from app.engine.values import TIMERS, State, Write


class Progress(NamedTuple):
    """Of the change to so many `partitions`. cursor: the last unit that ticks gave up. ended: none is left to give or get.

    open: of an old partition, the new ones that wait for their units; of a new one, the old one that it has told so.
    """

    partitions: int
    cursor: str | None = None
    ended: bool = False
    open: tuple[int, ...] = ()

    def write(self) -> Write:
        return Write(TIMERS, PROGRESS_KEY, encode(self._asdict()))


def progress_of(state: State, partitions: int) -> Progress:
    """What is stored about another count belongs to a change that is over."""
    found = decode(state.timers.get_bytes(PROGRESS_KEY))
    if found.get("partitions") != partitions:
        return Progress(partitions)
    return Progress(partitions, found["cursor"], found["ended"], tuple(found["open"]))


def lives_here(state: State, unit: str) -> bool:
    """A unit that was ever decided for has a row."""
    key = unit_key(unit)
    return state.eligibility.get_bytes(key) is not None or state.assignments.get_bytes(key) is not None


def away(state: State, unit: str) -> int:
    """Records of the unit that this partition has sent to the old home and that are not back."""
    row = state.timers.get_bytes(away_key(unit))
    return 0 if row is None else int(row)


def one_more_away(state: State, unit: str) -> Write:
    return Write(TIMERS, away_key(unit), b"%d" % (away(state, unit) + 1))


def one_back(state: State, unit: str) -> tuple[Write, ...]:
    """Nothing to write where nothing is known to be away: the record was sent before an earlier change had ended."""
    count = away(state, unit)
    if count == 0:
        return ()
    return (Write(TIMERS, away_key(unit), b"%d" % (count - 1) if count > 1 else None),)


def keep_part(unit: str, part: int, raw: bytes) -> Write:
    return Write(TIMERS, part_key(unit, part), raw)


def kept_part(state: State, unit: str, part: int) -> bytes | None:
    return state.timers.get_bytes(part_key(unit, part))


def drop_part(unit: str, part: int) -> Write:
    return Write(TIMERS, part_key(unit, part), None)
