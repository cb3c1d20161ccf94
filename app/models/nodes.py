"""Trees as nested nodes -> the arrays of a policy's model, and thresholds of other comparisons as `<=` on doubles."""

import math
from collections.abc import Callable
from struct import pack, unpack
from typing import Any, NamedTuple

from app.contract.model import LEAF


class Leaf(NamedTuple):
    value: float


class Split(NamedTuple):
    """left: where feature <= threshold."""

    feature: int
    threshold: float
    left: Any
    right: Any


# The node with this key: a leaf, or a split whose sides are keys.
NodeAt = Callable[[Any], Leaf | Split]


def tree(node_at: NodeAt, root: Any) -> dict[str, Any]:
    """Numbered as a reader goes: a node, its left side, its right side. Without recursion: files are as deep as they are."""
    arrays: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "value")}
    waiting: list[tuple[Any, int, str]] = [(root, LEAF, "")]
    while waiting:
        key, parent, side = waiting.pop()
        number = len(arrays["feature"])
        if side:
            arrays[side][parent] = number
        found = node_at(key)
        if isinstance(found, Leaf):
            row: tuple[Any, ...] = (LEAF, 0.0, LEAF, LEAF, float(found.value))
        else:
            row = (int(found.feature), float(found.threshold), LEAF, LEAF, 0.0)
            waiting += [(found.right, number, "right"), (found.left, number, "left")]
        for column, value in zip(arrays.values(), row, strict=True):
            column.append(value)
    return arrays


def below(threshold: float) -> float:
    """x < threshold is x <= this, for doubles."""
    return math.nextafter(threshold, -math.inf)


def rounded_at_most(threshold: float) -> float:
    """The largest double that, rounded to single precision, is <= threshold: libraries that keep features in single precision
    compare what rounding left of them, and half way rounds to the even neighbour (IEEE 754)."""
    low = single(threshold)
    if low > threshold:
        low = _next_single(low, -1)
    high = _next_single(low, 1)
    if math.isinf(high):
        return threshold
    middle = (low + high) / 2
    return middle if single(middle) == low else below(middle)


def rounded_below(threshold: float) -> float:
    """The largest double that, rounded to single precision, is < threshold."""
    exact = single(threshold)
    return rounded_at_most(_next_single(exact, -1) if exact >= threshold else exact)


def single(value: float) -> float:
    """Rounded to single precision."""
    return float(unpack("<f", pack("<f", value))[0])


def _next_single(value: float, step: int) -> float:
    """The neighbour of a single-precision number: +1 above, -1 below."""
    (bits,) = unpack("<i", pack("<f", value))
    if value == 0:
        bits = 1 if step > 0 else -(2**31) + 1
    else:
        bits += step if bits >= 0 else -step
    return float(unpack("<f", pack("<i", bits))[0])
