"""What the assignments row of a unit remembers of logins, and of assignments that are not in force, as its field "identity".

of an anonymous unit  {"user", "linked_us"}: whose it is.
of a user             {"devices": {anonymous id: {"asked_us", "until_us"} | {"linked_us"}}, "links",
                      "aside": {assignment id: {...}}}: the devices that were asked for or have answered, how many brought
                      something, and assignments that lost against the user's own, each with its `policy`.
of any unit           {"aside"} too, of assignments that were drawn for one decision each: app/engine/former.py.

Both are bounded: the oldest entry makes room.
"""

from app.engine.rows import Row
from app.engine.unit import UnitRows

MAX_DEVICES = 32
MAX_SET_ASIDE = 32


def user_of(rows: UnitRows) -> str | None:
    """Of an anonymous unit: its user, if it has one."""
    return None if rows.identity is None else rows.identity.get("user")


def give_to(rows: UnitRows, user: str, at_us: int) -> None:
    """All that the anonymous unit was given goes to `user`."""
    rows.take_over({}, {})
    rows.know({"user": user, "linked_us": at_us})


def is_known(rows: UnitRows, anonymous_id: str) -> bool:
    """Whether the device has answered."""
    return "linked_us" in _devices(rows).get(anonymous_id, ())


def is_asked(rows: UnitRows, anonymous_id: str) -> bool:
    return anonymous_id in _devices(rows)


def is_pending(rows: UnitRows, anonymous_id: str, at_us: int) -> bool:
    """The entry says until when: a later change of the catalogue does not hold up a signal again."""
    return bool(at_us < _devices(rows).get(anonymous_id, {}).get("until_us", at_us))


def note_asked(rows: UnitRows, anonymous_id: str, at_us: int, window_us: int) -> None:
    _note(rows, anonymous_id, {"asked_us": at_us, "until_us": at_us + window_us})


def note_known(rows: UnitRows, anonymous_id: str, at_us: int, *, brought: bool) -> None:
    """brought: the device has changed what the user was given."""
    if not is_known(rows, anonymous_id):
        _note(rows, anonymous_id, {"linked_us": at_us})
    if brought:
        identity = rows.identity or {}
        rows.know({**identity, "links": identity.get("links", 0) + 1})


def set_aside(rows: UnitRows, entries: list[Row]) -> None:
    """entries: assignments with their `policy`."""
    identity = rows.identity or {}
    aside = {**identity.get("aside", {}), **{entry["assignment_id"]: entry for entry in entries}}
    while len(aside) > MAX_SET_ASIDE:
        del aside[min(aside, key=lambda name: (aside[name]["assigned_us"], name))]
    rows.know({**identity, "aside": aside})


def forget(rows: UnitRows, policy: str, kept: int) -> None:
    """Of the assignments of a policy that were set aside, only so many of the newest stay."""
    identity = rows.identity or {}
    found = identity.get("aside", {})
    of_policy = sorted((row["assigned_us"], name) for name, row in found.items() if row["policy"] == policy)
    old = {name for _, name in of_policy[: len(of_policy) - kept]} if len(of_policy) > kept else set()
    if old:
        rows.know({**identity, "aside": {name: row for name, row in found.items() if name not in old}})


def all_aside(rows: UnitRows) -> dict[str, Row]:
    """assignment id -> assignment, with its `policy`."""
    found: dict[str, Row] = (rows.identity or {}).get("aside", {})
    return found


def aside(rows: UnitRows, policy: str, assignment_id: str) -> Row | None:
    """An assignment of the same person that is not in force, or not any more."""
    found: Row | None = None if rows.identity is None else rows.identity.get("aside", {}).get(assignment_id)
    return found if found is not None and found["policy"] == policy else None


def _devices(rows: UnitRows) -> dict[str, Row]:
    return {} if rows.identity is None else rows.identity.get("devices", {})


def _note(rows: UnitRows, anonymous_id: str, entry: Row) -> None:
    devices = {**_devices(rows), anonymous_id: entry}
    while len(devices) > MAX_DEVICES:
        del devices[min(devices.keys() - {anonymous_id}, key=lambda name: (_at_us(devices[name]), name))]
    rows.know({**(rows.identity or {}), "devices": devices})


def _at_us(entry: Row) -> int:
    at_us: int = entry["linked_us"] if "linked_us" in entry else entry["asked_us"]
    return at_us
