"""What a line of input may become: an envelope to be validated. Refuses nothing: the readers say what they could not read."""

from collections.abc import Iterator
from typing import IO, NamedTuple

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.contract.envelope import Rejection

# Twice the default bound is what the topics take (app/contract/topics); the rest is the record's own overhead.
MAX_LINE_BYTES = 2 * DEFAULT_CATALOGUE.bounds.max_record_bytes - 4_096


class Candidate(NamedTuple):
    """line: its number in the input, from 1. original: what a dead letter keeps. envelope: JSON, or why there is none."""

    line: int
    original: bytes
    envelope: bytes | Rejection


def ndjson_candidates(stream: IO[bytes]) -> Iterator[Candidate]:
    """One candidate a line; empty lines are none. A line past the bound is read past, never held."""
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            yield Candidate(number, raw[:MAX_LINE_BYTES], _oversized(len(raw) + _skip_line(stream)))
            continue
        content = raw.strip()
        if content:
            yield Candidate(number, content, content)


def _skip_line(stream: IO[bytes]) -> int:
    """The number of bytes up to the end of the line."""
    skipped = 0
    while chunk := stream.readline(MAX_LINE_BYTES):
        skipped += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return skipped


def _oversized(size: int) -> Rejection:
    return Rejection(
        "oversized",
        f"the line has {size} bytes, {MAX_LINE_BYTES} are the most; the dead letter keeps the beginning, the file the rest; "
        "send large content by reference",
    )
