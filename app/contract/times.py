"""Times: integer microseconds UTC inside, RFC 3339 UTC with microseconds on the wire, durations in milliseconds."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

MILLISECOND_US = 1_000
SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_US = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def micros(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime; exact, without the rounding of float timestamps."""
    return (moment - _EPOCH) // _MICROSECOND


def parse_us(text: str) -> int:
    """Microseconds UTC of an RFC 3339 time with offset. ValueError when it has none, is malformed or out of the calendar."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC; write it as 2026-11-22T10:15:30.123456Z")
    us = micros(moment)
    if not _FIRST_US <= us <= _LAST_US:  # an offset can lead out of the calendar, where no moment can be written again
        raise ValueError(f"{text!r} is not within the years 1 to 9999 of UTC")
    return us


def format_us(us: int) -> str:
    """'2026-11-22T10:15:30.123456Z'."""
    second, fraction = divmod(us, SECOND_US)
    return f"{_second_text(second)}.{fraction:06d}Z"


# Records of one moment share their second: the calendar arithmetic is done once for it. 4,096 seconds bound the cache.
@lru_cache(maxsize=4096)
def _second_text(second: int) -> str:
    # Not strftime: its %Y of a year before 1000 has four digits on some systems only.
    return (_EPOCH + timedelta(seconds=second)).isoformat()[:19]


def milliseconds(us: int) -> float:
    """A duration for the wire: milliseconds with microsecond resolution."""
    return us / MILLISECOND_US
