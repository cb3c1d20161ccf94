"""A YAML file as plain JSON values with the line of every one. Refuses what would silently lose something:

a repeated key, a merge key, a key that is no text, aliases that expand without bound.
"""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from app.governance.problems import FieldPath, Problem, dotted

# A policy body is 512 KB of canonical JSON at most; comments and layout may take as much again.
MAX_FILE_BYTES = 2 * 1024 * 1024
# Aliases multiply: the count of values after expansion is what must be bounded.
MAX_NODES = 200_000
_TEXT_TAG = "tag:yaml.org,2002:str"


class Finding(NamedTuple):
    """A problem at its place in a file. field: dotted path. warning: worth saying, no reason to refuse."""

    file: str
    line: int
    field: str
    what: str
    remedy: str
    warning: bool = False

    def __str__(self) -> str:
        kind = "warning" if self.warning else "error"
        place = f"{self.file}:{self.line}: {kind}:"
        # Most messages name their field already; the others get it in front.
        field = "" if not self.field or self.field in self.what else f" {self.field}:"
        stop = "" if self.what.endswith("?") else "."
        return f"{place}{field} {self.what.rstrip('.')}{stop} {self.remedy}"


class Document(NamedTuple):
    """value: None when it could not be read. lines: from 1, by path. findings: of the file's own making."""

    file: str
    value: Any
    lines: dict[FieldPath, int]
    findings: list[Finding]

    def finding(self, problem: Problem) -> Finding:
        field = dotted(problem.path) if problem.path else ""
        return Finding(self.file, self._line_of(problem.path), field, problem.what, problem.remedy, problem.warning)

    def _line_of(self, path: FieldPath) -> int:
        """The line of the value at `path`, else of the nearest thing around it."""
        for length in range(len(path), -1, -1):
            if (line := self.lines.get(path[:length])) is not None:
                return line
        return 1


def read_document(path: Path) -> Document:
    """Never raises for what is in the file or for a file that is not there: that is a finding like any other."""
    try:
        size = path.stat().st_size
        text = path.read_text("utf-8") if size <= MAX_FILE_BYTES else None
    except (OSError, UnicodeDecodeError) as error:
        return _unreadable(str(path), 1, f"the file cannot be read: {error}", "Give a readable UTF-8 file")
    if text is None:
        return _unreadable(str(path), 1, f"the file has {size} bytes", f"Keep it within {MAX_FILE_BYTES} bytes")
    return parse_document(str(path), text)


def parse_document(file: str, text: str) -> Document:
    reader = _Reader(file)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = None if node is None else reader.value(node, ())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        return _unreadable(file, line, f"no valid YAML: {error.problem or error.context}", "Mend the syntax at this line")
    except (yaml.YAMLError, RecursionError) as error:
        return _unreadable(file, 1, f"no valid YAML: {str(error).splitlines()[0]}", "Mend the syntax")
    return Document(file, value, reader.lines, reader.findings)


def _unreadable(file: str, line: int, what: str, remedy: str) -> Document:
    return Document(file, None, {(): line}, [Finding(file, line, "", what, remedy)])


class _Reader:
    """One pass over the node tree: values, lines, and what is wrong with the mapping keys."""

    def __init__(self, file: str) -> None:
        self.lines: dict[FieldPath, int] = {}
        self.findings: list[Finding] = []
        self._file = file
        self._constructor = yaml.SafeLoader("")
        self._nodes = 0

    def value(self, node: yaml.Node, path: FieldPath) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise yaml.YAMLError(f"more than {MAX_NODES} values")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: FieldPath) -> Any:
        try:
            return self._constructor.construct_object(node)
        except ValueError:  # it looks like a date or a number and is none, such as 2026-13-45
            self._report(node, path, f"{node.value} is no date and no number", "Put it in quotes to make it text")
            return str(node.value)

    def _mapping(self, node: yaml.MappingNode, path: FieldPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag != _TEXT_TAG:
                name = key_node.value if isinstance(key_node, yaml.ScalarNode) else "(a list or mapping)"
                self._report(key_node, path, f"the key {name} is no text", 'Write it in quotes, as "name"')
                continue
            name = key_node.value
            place = (*path, name)
            if name in found:
                what = f"{dotted(place)} is already given in line {self.lines[place]}"
                self._report(key_node, place, what, "Keep one of them")
                continue
            self.lines[place] = key_node.start_mark.line + 1
            found[name] = self.value(value_node, place)
        return found

    def _report(self, node: yaml.Node, path: FieldPath, what: str, remedy: str) -> None:
        self.findings.append(Finding(self._file, node.start_mark.line + 1, dotted(path), what, remedy))
