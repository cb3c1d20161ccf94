"""Duplicates: an event id of a unit counts once within the window, and stands for one content."""

from hashlib import blake2b

import orjson

from app.contract.envelope import Rejection, Signal
from app.engine.policies import Policies
from app.engine.rows import DAY_US, SeenId, find_seen, seen_key, seen_value
from app.engine.values import SEEN, InputRecord, State, Write


def content_digest(signal: Signal) -> bytes:
    """What makes two records of one id the same: all that the sender said, not when an edge received it."""
    said = {name: value for name, value in signal.event.items() if name != "received_ts"}
    return blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=8).digest()


def repetition(
    signal: Signal, record: InputRecord, state: State, policies: Policies, digest: bytes
) -> Rejection | SeenId | None:
    """None: the id is new. SeenId: the same record again. Rejection: the same id with other content."""
    window_us = policies.catalogue.windows.dedup_window_seconds * 1_000_000
    seen = find_seen(state.seen, signal.unit, signal.event_id, record.appended_us, window_us)
    if seen is None or seen.digest == digest:
        return seen
    return Rejection(
        "event_id_conflict",
        f"event_id {signal.event_id} came before with other content; give every event an id of its own",
    )


def seen_write(signal: Signal, record: InputRecord, policies: Policies, digest: bytes) -> Write:
    window_us = policies.catalogue.windows.dedup_window_seconds * 1_000_000
    at_us = record.appended_us
    key = seen_key(at_us // DAY_US, signal.unit, signal.event_id)
    return Write(SEEN, key, seen_value(SeenId(at_us, at_us + window_us, digest)))
