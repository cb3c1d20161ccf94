"""Duplicates: an event id of a unit counts once within the window, and stands for one content.

Ids are filed by the day they came, so that whole days expire from the front of the table without an index of their own.
"""

from hashlib import blake2b
from typing import NamedTuple

import orjson

from app.contract.envelope import Rejection, Signal
from app.engine.policies import Policies
from app.engine.rows import DAY_US, seen_key, seen_suffix
from app.engine.values import SEEN, InputRecord, State, Write

DIGEST_BYTES = 8


class Repeat(NamedTuple):
    """conflict None: the same record again; else the same id with other content."""

    conflict: Rejection | None


def look_up(signal: Signal, record: InputRecord, state: State, policies: Policies) -> Repeat | Write:
    """A Write that files the id, when it is new within the window; otherwise what the repetition is.

    The row says until when it counts: a later change of the window cannot revive an id on replay.
    """
    at_us, window_us = record.appended_us, policies.limits.dedup_window_us
    suffix = seen_suffix(signal.unit, signal.event_id)
    digest = content_digest(signal)
    today = at_us // DAY_US
    for day in range(today, (at_us - window_us) // DAY_US - 1, -1):
        row = state.seen.get_bytes(seen_key(day, suffix))
        if row is not None and at_us < int.from_bytes(row[8:16]):
            return Repeat(None if row[16:] == digest else _conflict(signal))
    return Write(SEEN, seen_key(today, suffix), at_us.to_bytes(8) + (at_us + window_us).to_bytes(8) + digest)


def expires_us(row: bytes) -> int:
    """Of a stored row: (first append, end of the window, digest of the content)."""
    return int.from_bytes(row[8:16])


def content_digest(signal: Signal) -> bytes:
    """What makes two records of one id the same: all that the sender said, not when an edge received it."""
    said = signal.event
    if "received_ts" in said:
        said = {name: value for name, value in said.items() if name != "received_ts"}
    return blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=DIGEST_BYTES).digest()


def _conflict(signal: Signal) -> Rejection:
    return Rejection(
        "event_id_conflict",
        f"event_id {signal.event_id} came before with other content; give every event an id of its own",
    )
