"""CSV rows into envelopes, by a mapping file: one template makes one event a row, `events:` holds several.

Owns the file; its language is app/contract/templates, whose names are here the columns. Refuses unknown keys and columns before
the first row.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from app.contract.templates import LINE, Compiler, Template, filled
from app.errors import CallerError

REQUIRED = ("event_name", "event_id", "ts")

Row = Mapping[str, str]  # by column, and LINE


class CsvMapping(NamedTuple):
    """What a mapping file says. columns: those that the header must have."""

    templates: tuple[Template, ...]
    columns: frozenset[str]

    def events(self, row: Row) -> list[dict[str, Any]]:
        """One envelope a template, not yet validated. Raises BadValueError."""
        return [filled(template, row) for template in self.templates]


def load_mapping(path: Path) -> CsvMapping:
    """CallerError with every problem of the file at once."""
    try:
        loaded = yaml.safe_load(path.read_text())
    except OSError as error:
        raise CallerError(f"the mapping {path} cannot be read: {error.strerror}", "Give --map a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CallerError(f"the mapping {path} is no YAML: {' '.join(str(error).split())}", "Correct it there") from error
    bodies = loaded.get("events") if isinstance(loaded, dict) and "events" in loaded else [loaded]
    compiler = Compiler()
    templates = tuple(_template(compiler, number, body) for number, body in enumerate(_list(bodies), start=1))
    if not templates:
        compiler.problems.append("events has no template")
    if compiler.problems:
        raise CallerError(f"the mapping {path} is wrong: {'; '.join(compiler.problems)}", "`truelift ingest --help` shows one")
    return CsvMapping(templates, frozenset(compiler.names - {LINE}))


def _template(compiler: Compiler, number: int, body: object) -> Template:
    where = f"template {number}"
    if not isinstance(body, dict):
        compiler.problems.append(f"{where} is no object of fields")
        return ()
    for field in REQUIRED:
        if field not in body:
            compiler.problems.append(f"{where} has no {field}")
    names = {str(key) for key in body}
    for name in sorted(names):
        inside = [other for other in names if other.startswith(name + ".")]
        if inside:
            compiler.problems.append(f"{where} has both {name} and {', '.join(sorted(inside))}")
    return compiler.template(where, body)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
