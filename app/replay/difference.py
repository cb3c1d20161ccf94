"""The first field in which two records differ, with both values: what a person wants to see of two kilobytes."""

from typing import Any, NamedTuple

import orjson

ABSENT = "(absent)"


class Difference(NamedTuple):
    """path: 'decisions[0].gates[3].why'. The values as JSON values; ABSENT where a side has none."""

    path: str
    recorded: Any
    replayed: Any


def first_difference(recorded: bytes, replayed: bytes) -> Difference:
    """For two byte strings that differ. When both say the same in other bytes, the path is '(bytes)'."""
    try:
        left, right = orjson.loads(recorded), orjson.loads(replayed)
    except orjson.JSONDecodeError:
        return Difference("(not JSON)", recorded.decode(errors="replace"), replayed.decode(errors="replace"))
    found = _first(left, right, "")
    return found or Difference("(bytes)", recorded.decode(errors="replace"), replayed.decode(errors="replace"))


def _first(left: Any, right: Any, path: str) -> Difference | None:
    if isinstance(left, dict) and isinstance(right, dict):
        for name in [*left, *(name for name in right if name not in left)]:
            found = _first(left.get(name, ABSENT), right.get(name, ABSENT), f"{path}.{name}" if path else name)
            if found is not None:
                return found
        return None
    if isinstance(left, list) and isinstance(right, list):
        for i in range(max(len(left), len(right))):
            found = _first(left[i] if i < len(left) else ABSENT, right[i] if i < len(right) else ABSENT, f"{path}[{i}]")
            if found is not None:
                return found
        return None
    # True == 1 in Python, not in JSON.
    return None if type(left) is type(right) and left == right else Difference(path, left, right)
