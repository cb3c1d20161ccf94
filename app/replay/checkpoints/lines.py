"""Rows as lines of JSON, exact to the byte: ["eligibility","u-42","{...}"]. Tables and keys in order, one spelling each.

What is text (units, stored JSON) is a string; what is not (times, digests) is {"hex": "..."}.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from app.engine.repeats import expires_us
from app.engine.rows import DAY_US
from app.engine.values import SEEN, TABLES, Write
from app.replay.state import ReplayState

_CONTROL = re.compile(rb"[\x00-\x1f]").search


def lines_of(state: ReplayState, appended_us: int) -> Iterator[tuple[str, bytes]]:
    """(table, line) of each row that a record after `appended_us`, the newest append so far, can still meet."""
    for table in TABLES:
        for key, value in state.rows(table):
            if table != SEEN or not _is_over(value, appended_us):
                yield table, orjson.dumps([table, _said(key), _said(value)]) + b"\n"


def row_of(line: bytes) -> Write:
    table, key, value = orjson.loads(line)
    return Write(table, _read(key), _read(value))


def _said(raw: bytes) -> Any:
    try:
        if _CONTROL(raw) is None:
            return raw.decode()
    except UnicodeDecodeError:
        pass  # bytes that are no text
    return {"hex": raw.hex()}


def _read(said: Any) -> bytes:
    return said.encode() if isinstance(said, str) else bytes.fromhex(said["hex"])


def _is_over(row: bytes, appended_us: int) -> bool:
    """Ids whose window is over for a day, as a worker's ticks let them expire.

    A tick that fires no timer has no journal record, so a replay sees few of them, and its table would grow with the history.
    """
    return expires_us(row) <= appended_us - DAY_US
