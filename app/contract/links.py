"""What travels on `identity_links`, from one partition group to another: records, units, and what login carries to a user.

forward  a consumed record, whole, with the place and time at which it was appended first: whoever serves it in the end gives it
         the ids, the lateness and the window that it would have had there.
move     a part of the rows of a unit; all parts are of one transaction, and with the last one the unit has arrived.
ask      a user was seen with an anonymous unit: it is asked to become the user's.
adopt    the answer, sent once more whenever it is asked for: what the anonymous unit was given, for the user to take over.
open     the sender is consumed by a worker and waits for its units.
ended    the sender has given up its last unit of this change of the partition count.

`governance_offset` stands at the front of each: a reader must know the log at least as far as the writer did.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson

from app.contract.envelope import Rejection
from app.contract.times import format_us, parse_us

LINK_SCHEMA: Final = "truelift.link/1"
_HEAD = f'{{"schema":"{LINK_SCHEMA}","governance_offset":'.encode()
_NO_OFFSET = -1

RowItem = tuple[str, bytes, bytes]  # table, key, value


class Forward(NamedTuple):
    """topic, partition, offset, appended_us, key, value: of the record as it was consumed first. unit: whom it is for.

    asked: the partition that waits for this record to come back to it; None when nobody does.
    linked: it is sent from a unit to another that is the same person, not from one partition of its unit to another.
    """

    link_id: str
    sender: int
    unit: str
    event_id: str | None
    asked: int | None
    topic: str
    partition: int
    offset: int
    appended_us: int
    key: bytes | None
    value: bytes
    linked: bool = False


class Move(NamedTuple):
    """part: 0 to parts - 1."""

    link_id: str
    sender: int
    unit: str
    part: int
    parts: int
    rows: tuple[RowItem, ...]


class Ask(NamedTuple):
    """unit: the anonymous one. user: who was seen with it."""

    link_id: str
    sender: int
    unit: str
    user: str


class Adopt(NamedTuple):
    """unit: the user. anonymous: the unit whose rows these are. taken: it is another user's, so there are none."""

    link_id: str
    sender: int
    unit: str
    anonymous: str
    taken: bool
    rows: tuple[RowItem, ...]


class Open(NamedTuple):
    """partitions: the count that units move to."""

    link_id: str
    sender: int
    partitions: int


class Ended(NamedTuple):
    """partitions: the count that the units of `sender` have moved to."""

    link_id: str
    sender: int
    partitions: int


Link = Forward | Move | Ask | Adopt | Open | Ended


def write_link(link: Link, governance_offset: int) -> bytes:
    """The record's bytes; the same link has one spelling."""
    return _HEAD + b"%d,%b" % (governance_offset, orjson.dumps(_fields(link))[1:])


def governance_offset_of(raw: bytes) -> int:
    """Read from the front alone, since every link is asked for it; -1 for what is no link."""
    if not raw.startswith(_HEAD):
        return _NO_OFFSET
    digits = raw[len(_HEAD) : raw.find(b",", len(_HEAD))]
    return int(digits) if digits.isdigit() else _NO_OFFSET


def read_link(raw: bytes) -> Link | Rejection:
    """The link in `raw`, or why there is none."""
    try:
        fields = orjson.loads(raw)
        if not raw.startswith(_HEAD):
            raise ValueError("it does not begin as a link")
        return _READERS[fields["kind"]](fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # The type alone: the words of an exception differ between versions of Python, and a rejection is replayed to the byte.
        what = f"the record is no {LINK_SCHEMA} ({type(error).__name__})"
        return Rejection("malformed_link", f"{what}; only workers write to this topic: take the right from everybody else")


def _fields(link: Link) -> dict[str, Any]:
    common = {"link_id": link.link_id, "from": link.sender}
    if isinstance(link, Forward):
        origin = {
            "topic": link.topic,
            "partition": link.partition,
            "offset": link.offset,
            "appended_ts": format_us(link.appended_us),
            "key_base64": None if link.key is None else b64encode(link.key).decode(),
            "value_base64": b64encode(link.value).decode(),
        }
        named: dict[str, Any] = {"unit": link.unit, "event_id": link.event_id, "asked": link.asked}
        if link.linked:
            named["linked"] = True
        return {"kind": "forward", **common, **named, "origin": origin}
    if isinstance(link, Move):
        parts = {"part": link.part, "parts": link.parts, "rows": _packed(link.rows)}
        return {"kind": "move", **common, "unit": link.unit, **parts}
    if isinstance(link, Ask):
        return {"kind": "ask", **common, "unit": link.unit, "user": link.user}
    if isinstance(link, Adopt):
        told = {"anonymous": link.anonymous, "taken": link.taken, "rows": _packed(link.rows)}
        return {"kind": "adopt", **common, "unit": link.unit, **told}
    return {"kind": "open" if isinstance(link, Open) else "ended", **common, "partitions": link.partitions}


def _forward(fields: dict[str, Any]) -> Forward:
    origin = fields["origin"]
    key = origin["key_base64"]
    return Forward(
        _text(fields["link_id"]),
        _number(fields["from"]),
        _text(fields["unit"]),
        None if fields["event_id"] is None else _text(fields["event_id"]),
        None if fields["asked"] is None else _number(fields["asked"]),
        _text(origin["topic"]),
        _number(origin["partition"]),
        _number(origin["offset"]),
        parse_us(origin["appended_ts"]),
        None if key is None else b64decode(key, validate=True),
        b64decode(origin["value_base64"], validate=True),
        fields.get("linked") is True,
    )


def _move(fields: dict[str, Any]) -> Move:
    part, parts = _number(fields["part"]), _number(fields["parts"])
    return Move(_text(fields["link_id"]), _number(fields["from"]), _text(fields["unit"]), part, parts, _rows(fields))


def _ask(fields: dict[str, Any]) -> Ask:
    return Ask(_text(fields["link_id"]), _number(fields["from"]), _text(fields["unit"]), _text(fields["user"]))


def _adopt(fields: dict[str, Any]) -> Adopt:
    anonymous, taken = _text(fields["anonymous"]), fields["taken"] is True
    return Adopt(_text(fields["link_id"]), _number(fields["from"]), _text(fields["unit"]), anonymous, taken, _rows(fields))


def _open(fields: dict[str, Any]) -> Open:
    return Open(_text(fields["link_id"]), _number(fields["from"]), _number(fields["partitions"]))


def _ended(fields: dict[str, Any]) -> Ended:
    return Ended(_text(fields["link_id"]), _number(fields["from"]), _number(fields["partitions"]))


_READERS: dict[str, Callable[[dict[str, Any]], Link]] = {
    "forward": _forward, "move": _move, "ask": _ask, "adopt": _adopt, "open": _open, "ended": _ended,
}  # fmt: skip


def _packed(rows: tuple[RowItem, ...]) -> list[tuple[str, str, str]]:
    return [(table, b64encode(key).decode(), b64encode(value).decode()) for table, key, value in rows]


def _rows(fields: dict[str, Any]) -> tuple[RowItem, ...]:
    return tuple((_text(table), b64decode(key), b64decode(value)) for table, key, value in fields["rows"])


def _number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(value)
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(value)
    return value
