"""CSV rows into envelopes, by a mapping file. Owns its small language; refuses unknown keys and columns before the first row.

One template makes one event a row; `events:` holds several:

    events:
      - event_name: page_view                       # a constant; `$column` is a column's text, `$$` a plain dollar
        user_id: $user_id
        event_id: {from: [$line, user_id]}           # a UUIDv5 of the event name and these columns; $line is the line's number
        ts: {column: date, format: "%Y%m%d"}         # strptime; a time without offset is UTC
        context.route: /app/onboarding               # dots reach into objects
        properties.amount: {column: amount_usd, type: number}     # text (default), integer, number, boolean
        properties.tags: {constant: [imported]}      # a constant that is a list or an object

An empty cell leaves its field out.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from app.contract.envelope import Envelope
from app.contract.ids import SEPARATOR, uuid_of
from app.contract.times import format_us, micros
from app.errors import CallerError

LINE = "$line"
REQUIRED = ("event_name", "event_id", "ts")

Row = Mapping[str, str]  # by column, and LINE
Field = Callable[[Row], Any]
Template = tuple[tuple[tuple[str, ...], Field], ...]  # (path, field) pairs

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _boolean(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise ValueError(f"one of {', '.join(_TRUTH)} is expected")
    return _TRUTH[text.lower()]


_TYPES: dict[str, Callable[[str], Any]] = {"text": str, "integer": int, "number": float, "boolean": _boolean}


class BadCellError(ValueError):
    """A cell that its field cannot take; the text names column and value."""


class CsvMapping(NamedTuple):
    """What a mapping file says. columns: those that the header must have."""

    templates: tuple[Template, ...]
    columns: frozenset[str]

    def events(self, row: Row) -> list[dict[str, Any]]:
        """One envelope a template, not yet validated. Raises BadCellError."""
        return [_filled(template, row) for template in self.templates]


def load_mapping(path: Path) -> CsvMapping:
    """CallerError with every problem of the file at once."""
    try:
        loaded = yaml.safe_load(path.read_text())
    except OSError as error:
        raise CallerError(f"the mapping {path} cannot be read: {error.strerror}", "Give --map a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CallerError(f"the mapping {path} is no YAML: {' '.join(str(error).split())}", "Correct it there") from error
    bodies = loaded.get("events") if isinstance(loaded, dict) and "events" in loaded else [loaded]
    compiler = _Compiler()
    templates = tuple(compiler.template(number, body) for number, body in enumerate(_list(bodies), start=1))
    if not templates:
        compiler.problems.append("events has no template")
    if compiler.problems:
        raise CallerError(f"the mapping {path} is wrong: {'; '.join(compiler.problems)}", "`truelift ingest --help` shows one")
    return CsvMapping(templates, frozenset(compiler.columns - {LINE}))


class _Compiler:
    """Collects columns and problems over all templates."""

    def __init__(self) -> None:
        self.columns: set[str] = set()
        self.problems: list[str] = []

    def template(self, number: int, body: object) -> Template:
        if not isinstance(body, dict):
            self.problems.append(f"template {number} is no object of fields")
            return ()
        for field in REQUIRED:
            if field not in body:
                self.problems.append(f"template {number} has no {field}")
        names = {str(key) for key in body}
        for name in sorted(names):
            inside = [other for other in names if other.startswith(name + ".")]
            if inside:
                self.problems.append(f"template {number} has both {name} and {', '.join(sorted(inside))}")
        return tuple(
            (self._path(number, str(key)), self._field(f"template {number}, {key}", spec)) for key, spec in body.items()
        )

    def _path(self, number: int, key: str) -> tuple[str, ...]:
        path = tuple(key.split("."))
        if path[0] not in Envelope.__annotations__:
            known = ", ".join(Envelope.__annotations__)
            self.problems.append(f"template {number}: {path[0]!r} is no field of the envelope ({known})")
        return path

    def _field(self, where: str, spec: object) -> Field:
        if isinstance(spec, str) and spec.startswith("$$"):
            return _constant(spec[1:])
        if isinstance(spec, str) and spec.startswith("$"):
            return self._typed(where, {"column": spec if spec == LINE else spec[1:]})
        if not isinstance(spec, dict):
            return _constant(spec)
        match sorted(map(str, spec)):
            case ["constant"]:
                return _constant(spec["constant"])
            case ["from"]:
                return self._identity(where, spec)
            case ["column", "format"]:
                return self._time(where, spec)
            case ["column"] | ["column", "type"]:
                return self._typed(where, spec)
        self.problems.append(f"{where}: keys {sorted(map(str, spec))} are not one of column[+type|+format], from, constant")
        return _constant(None)

    def _identity(self, where: str, spec: dict[str, Any]) -> Field:
        parts = spec["from"]
        if not where.endswith(" event_id"):
            self.problems.append(f"{where}: from makes ids, for event_id alone")
        if not (isinstance(parts, list) and parts and all(isinstance(part, str) for part in parts)):
            self.problems.append(f"{where}: from is no list of columns")
            return _constant(None)
        self.columns.update(parts)
        return lambda row: "".join(SEPARATOR + row[part] for part in parts)

    def _time(self, where: str, spec: dict[str, Any]) -> Field:
        column, form = str(spec["column"]), str(spec["format"])
        self.columns.add(column)
        return _cell(column, lambda text: _rfc3339(text, form))

    def _typed(self, where: str, spec: dict[str, Any]) -> Field:
        column, kind = str(spec["column"]), spec.get("type", "text")
        self.columns.add(column)
        if kind not in _TYPES:
            self.problems.append(f"{where}: type {kind!r} is not one of {', '.join(_TYPES)}")
            return _constant(None)
        return _cell(column, _TYPES[kind])


def _constant(value: object) -> Field:
    return lambda row: value


def _cell(column: str, convert: Callable[[str], Any]) -> Field:
    def field(row: Row) -> Any:
        text = row[column]
        if text == "":
            return None
        try:
            return convert(text)
        except ValueError as error:
            raise BadCellError(f"column {column} is {text!r}: {error}") from error

    return field


def _rfc3339(text: str, form: str) -> str:
    moment = datetime.strptime(text, form)  # noqa: DTZ007 -- the zone is decided in the next line
    return format_us(micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))


def _filled(template: Template, row: Row) -> dict[str, Any]:
    event: dict[str, Any] = {}
    for path, field in template:
        value = field(row)
        if value is None:
            continue
        place = event
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    # An id of columns is one within its kind of event: two templates of one row are two events.
    if str(event.get("event_id", "")).startswith(SEPARATOR):
        event["event_id"] = uuid_of(f"{event.get('event_name')}{event['event_id']}")
    return event


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
