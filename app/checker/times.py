"""Times of the journal as numbers, by the standard library alone."""

from datetime import datetime

DAY_US = 86_400_000_000


def microseconds(text: str) -> int:
    """Of an RFC 3339 time. Exact: a float of seconds has no microseconds to spare in this century."""
    moment = datetime.fromisoformat(text)
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond
