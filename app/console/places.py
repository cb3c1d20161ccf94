"""A record's place in its topic, as the pages and the read model write it: `partition:offset`, and one whole number."""

from app.console.store import PLACES
from app.errors import CallerError

MOST_CHARS = 20


def place_of(name: str) -> int:
    """CallerError: no place."""
    partition, _, offset = name.partition(":")
    if not (partition.isdecimal() and offset.isdecimal() and len(name) < MOST_CHARS):
        raise CallerError(f"{name!r} is no place", "Write partition:offset")
    return int(partition) * PLACES + int(offset)


def name_of(place: int) -> str:
    return f"{place // PLACES}:{place % PLACES}"
