"""The mapping language: from what somebody else's program sent to the fields of an envelope.

A template is a mapping of the envelope's fields to where they come from:

    event_name: page_view                        # a constant; `$name` is the value of that name, `$$` a plain dollar
    user_id: $user_id
    event_id: {from: [$line, user_id]}           # a UUIDv5 of the event name and these values
    ts: {column: date, format: "%Y%m%d"}         # strptime; a time without offset is UTC
    context.route: /app/onboarding               # dots reach into objects
    properties.amount: {column: amount_usd, type: number}     # as it is (default), or one of app/contract/conversions
    properties.tags: {constant: [imported]}      # a constant that is a list or an object
    user_id: {first: [$user_id, {column: customer, type: text}]}      # the first that is there

Owns the language's meaning. Refuses unknown keys and types; all problems of a template at once. A value that is missing or
empty leaves its field out. What a name means is the row's: a CSV column, or a path into JSON.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from app.contract.conversions import TYPES
from app.contract.envelope import Envelope
from app.contract.ids import SEPARATOR, uuid_of
from app.contract.times import format_us, micros

LINE = "$line"

Row = Mapping[str, Any]
Field = Callable[[Row], Any]
Template = tuple[tuple[tuple[str, ...], Field], ...]  # (path, field) pairs


class BadValueError(ValueError):
    """A value that its field cannot take; the text names it."""


class Nested(Mapping[str, Any]):
    """JSON as a row: its names are dotted paths into it. What is not there is None."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self._value = value

    def __getitem__(self, name: str) -> Any:
        value: Any = self._value
        for part in _parts(name):
            if not isinstance(value, dict):
                return None
            value = value.get(part)
        return value

    def __iter__(self) -> Any:
        return iter(self._value)

    def __len__(self) -> int:
        return len(self._value)


@lru_cache(maxsize=4096)
def _parts(name: str) -> tuple[str, ...]:
    return tuple(name.split("."))


class Compiler:
    """Templates out of bodies, with the names that they read and every problem. row_word: what a name is called in problems."""

    def __init__(self, row_word: str = "column") -> None:
        self.names: set[str] = set()
        self.problems: list[str] = []
        self._row_word = row_word

    def template(self, where: str, body: Mapping[Any, Any]) -> Template:
        return tuple((self._path(where, str(key)), self._field(f"{where}, {key}", spec)) for key, spec in body.items())

    def _path(self, where: str, key: str) -> tuple[str, ...]:
        path = tuple(key.split("."))
        if path[0] not in Envelope.__annotations__:
            known = ", ".join(Envelope.__annotations__)
            self.problems.append(f"{where}: {path[0]!r} is no field of the envelope ({known})")
        return path

    def _field(self, where: str, spec: object) -> Field:
        if isinstance(spec, str) and spec.startswith("$$"):
            return _constant(spec[1:])
        if isinstance(spec, str) and spec.startswith("$"):
            return self._typed(where, {"column": spec if spec == LINE else spec[1:]})
        if not isinstance(spec, dict):
            return _constant(spec)
        rule = _RULES.get(tuple(sorted(map(str, spec))))
        if rule is not None:
            return rule(self, where, spec)
        self.problems.append(
            f"{where}: keys {sorted(map(str, spec))} are not one of column[+type|+format], from, first, constant"
        )
        return _constant(None)

    def _identity(self, where: str, spec: dict[str, Any]) -> Field:
        parts = spec["from"]
        if not where.endswith(" event_id"):
            self.problems.append(f"{where}: from makes ids, for event_id alone")
        if not (isinstance(parts, list) and parts and all(isinstance(part, str) for part in parts)):
            self.problems.append(f"{where}: from is no list of columns")
            return _constant(None)
        self.names.update(parts)
        return lambda row: "".join(f"{SEPARATOR}{row[part]}" for part in parts)

    def _first(self, where: str, spec: dict[str, Any]) -> Field:
        choices = spec["first"]
        if not (isinstance(choices, list) and choices):
            self.problems.append(f"{where}: first is no list of fields")
            return _constant(None)
        fields = [self._field(where, choice) for choice in choices]
        return lambda row: next((value for field in fields if (value := field(row)) is not None), None)

    def _time(self, where: str, spec: dict[str, Any]) -> Field:
        name, form = str(spec["column"]), str(spec["format"])
        self.names.add(name)
        return self._value(name, lambda value: _rfc3339(str(value), form))

    def _typed(self, where: str, spec: dict[str, Any]) -> Field:
        name, kind = str(spec["column"]), spec.get("type")
        self.names.add(name)
        if kind is not None and kind not in TYPES:
            self.problems.append(f"{where}: type {kind!r} is not one of {', '.join(TYPES)}")
            return _constant(None)
        return self._value(name, None if kind is None else TYPES[kind])

    def _value(self, name: str, convert: Callable[[Any], Any] | None) -> Field:
        word = self._row_word

        def field(row: Row) -> Any:
            value = row[name]
            if value is None or value == "":
                return None
            try:
                return value if convert is None else convert(value)
            except (ValueError, OverflowError) as error:
                raise BadValueError(f"{word} {name} is {_cut(value)}: {error}") from error

        return field


_RULES: dict[tuple[str, ...], Callable[[Compiler, str, dict[str, Any]], Field]] = {
    ("constant",): lambda _, where, spec: _constant(spec["constant"]),
    ("from",): Compiler._identity,
    ("first",): Compiler._first,
    ("column", "format"): Compiler._time,
    ("column",): Compiler._typed,
    ("column", "type"): Compiler._typed,
}
_SHOWN_CHARS = 80


def filled(template: Template, row: Row) -> dict[str, Any]:
    """The envelope's fields that `row` has, not yet validated; BadValueError. The row stays as it is."""
    event: dict[str, Any] = {}
    for path, field in template:
        value = field(row)
        if value is None:
            continue
        place = event
        for name in path[:-1]:
            inner = place.get(name)
            place[name] = place = dict(inner) if isinstance(inner, dict) else {}
        place[path[-1]] = value
    # An id of several values is one within its kind of event: two templates of one row are two events.
    if str(event.get("event_id", "")).startswith(SEPARATOR):
        event["event_id"] = uuid_of(f"{event.get('event_name')}{event['event_id']}")
    return event


def _constant(value: object) -> Field:
    return lambda row: value


def _rfc3339(text: str, form: str) -> str:
    moment = datetime.strptime(text, form)  # noqa: DTZ007 -- the zone is decided in the next line
    return format_us(micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
