"""Looking into bodies that nobody has checked yet: getters that never raise, and the bounds of what JSON may carry at all."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from app.contract.canonical import canonical
from app.governance.problems import FieldPath, Problem, dotted

# Deeper nesting has no use here, and bounds every recursion over a body.
MAX_DEPTH = 64
# RFC 8785 numbers are IEEE 754 doubles: beyond this, neighbours are one number.
MAX_INTEGER = 2**53 - 1

Body = Mapping[str, Any]


def get(body: Any, *path: str) -> Any:
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    return body


def mappings(body: Body, name: str) -> list[tuple[int, Body]]:
    items = body.get(name)
    return [(i, item) for i, item in enumerate(items) if isinstance(item, dict)] if isinstance(items, list) else []


def is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def json_problems(body: Any, max_bytes: int) -> list[Problem]:
    """What canonical JSON within `max_bytes` cannot carry."""
    found = list(unsayable(body))
    if found:
        return found
    size = len(canonical(body))
    if size > max_bytes:
        return [Problem((), f"the body has {size} bytes", f"Keep it within {max_bytes} bytes")]
    return []


def unsayable(body: Any) -> Iterator[Problem]:
    """What canonical JSON cannot carry at any length. The depth first: everything else recurses."""
    if (path := _too_deep(body)) is not None:
        yield Problem(path, f"the nesting is deeper than {MAX_DEPTH}", "Flatten it")
    else:
        yield from _foreign_values(body, ())


def _too_deep(value: Any) -> FieldPath | None:
    level: list[tuple[FieldPath, Any]] = [((), value)]
    for _ in range(MAX_DEPTH):
        level = [((*path, name), child) for path, parent in level for name, child in _children(parent)]
        if not level:
            return None
    return level[0][0]


def _children(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _foreign_values(value: Any, path: FieldPath) -> Iterator[Problem]:
    if isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, f"{dotted(path)} is {value}", "Write a finite number")
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        yield Problem(path, f"{dotted(path)} is {value}", "Keep integers within ±(2^53 - 1), or put it in quotes")
    elif not isinstance(value, str | int | float | dict | list | None):
        yield Problem(path, f"{dotted(path)} is a {type(value).__name__} ({value})", "Put it in quotes to make it text")
    for name, child in _children(value):
        yield from _foreign_values(child, (*path, name))
