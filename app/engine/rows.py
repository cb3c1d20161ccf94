"""The unit's two stored rows, their keys, and the ids already seen. Rows are canonical JSON: what is stored is what is hashed.

eligibility  {"counts": {type: n}, "first_seen_us", "last_seen_us", "milestones": [...], "org", "pricing_model",
              "session": {"id", "started_us", "events"}}: the facts that conditions see as `user` and `session`.
assignments  {"assignments": {policy: {...}}, "holdouts": {name: held}, "pending": {policy: {...}}}: what the unit was given,
              whether each named holdout holds it, and the one timer that each policy may have waiting. Once a login has
              told more, "identity" beside them: app/engine/identity/known.py.
seen         (day of first append, unit, event id) -> (append time, end of its window, digest of the content).
timers       (due time, timer id) -> who waits, and the event that triggered. Beside them, while partitions scale: how many
             records of a unit are away, parts of units that have not arrived whole, and how far the partition has come.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import orjson

from app.contract.canonical import row_bytes
from app.contract.envelope import Signal
from app.contract.times import SECOND_US

Row = dict[str, Any]

# Ids are filed by day, so that whole days expire from the front of the table without an index of their own.
DAY_US = 86_400 * SECOND_US
# A unit's row is read and written at every signal of the unit: what it may hold is bounded.
MAX_MILESTONES = 256
MAX_MILESTONE_CHARS = 128


def decode(row: bytes | None) -> Row:
    return {} if row is None else orjson.loads(row)


def encode(row: Row) -> bytes:
    return row_bytes(row)


def unit_key(unit: str) -> bytes:
    return unit.encode()


# One leading byte keeps the keys of a table apart from what its store files for itself under a zero byte.
_SEEN, _TIMER, _AWAY, _PART, _PROGRESS = b"s", b"t", b"a", b"p", b"q"


def seen_suffix(unit: str, event_id: str) -> bytes:
    """What the keys of one id share over the days."""
    return unit.encode() + b"\x1f" + bytes.fromhex(event_id.replace("-", ""))


def seen_key(day: int, suffix: bytes) -> bytes:
    return _SEEN + day.to_bytes(4) + suffix


def seen_unit(key: bytes) -> bytes:
    """The unit's bytes in the key of an id."""
    return key[5:-17]


def seen_days(oldest_key: bytes, newest_day: int) -> range:
    """The days from that of an id's key up to `newest_day`."""
    return range(int.from_bytes(oldest_key[1:5]), newest_day + 1)


def seen_of(day: int, units: Iterable[bytes]) -> tuple[bytes, bytes]:
    """A key range that has all ids of one day of `units`. (Their order as units is another where a name has control bytes.)"""
    return seen_key(day, min(unit + b"\x1f" for unit in units)), seen_key(day, max(unit + b"\x20" for unit in units))


SEEN_ALL = (_SEEN, _SEEN + b"\xff" * 5)


def timer_key(due_us: int, timer_id: str) -> bytes:
    return _TIMER + due_us.to_bytes(8) + UUID(timer_id).bytes


def away_key(unit: str) -> bytes:
    return _AWAY + unit.encode()


def part_key(unit: str, part: int) -> bytes:
    return _PART + part.to_bytes(4) + unit.encode()


PROGRESS_KEY = _PROGRESS


def timers_until(us: int) -> tuple[bytes, bytes]:
    """The key range of the timers that are due at `us`."""
    return _TIMER, _TIMER + (us + 1).to_bytes(8)


def seen_before(us: int) -> tuple[bytes, bytes]:
    """The key range of the ids that were first seen on the days before that of `us`."""
    return _SEEN, _SEEN + (us // DAY_US).to_bytes(4)


def session_of(user: Row, signal: Signal) -> Row:
    """The session as it stood before the signal; an unknown session id opens one."""
    session: Row | None = user.get("session")
    if session is not None and session["id"] == signal.session_id:
        return session
    return {"id": signal.session_id, "started_us": signal.ts_us, "events": 0}


def add_signal(user: Row, signal: Signal, appended_us: int) -> None:
    """Takes the signal into the unit's facts, in place: what later decisions may ask for."""
    session = session_of(user, signal)
    session["events"] += 1
    user["session"] = session
    counts = user.setdefault("counts", {})
    counts[signal.event_name] = counts.get(signal.event_name, 0) + 1
    user.setdefault("first_seen_us", appended_us)
    user["last_seen_us"] = appended_us
    for fact in ("org", "pricing_model"):
        value = signal.event.get(fact)
        if value is not None:
            user[fact] = value
    if signal.event_name == "activation_milestone":
        milestones, name = user.setdefault("milestones", []), signal.properties.get("name")
        if name not in milestones:
            milestones.append(name)
