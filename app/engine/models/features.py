"""Features: numbers that a model looks at, taken from what conditions see, with types, bounds and defaults.

Owns what counts as a value. Refuses to guess: a value that is missing, of another type or out of bounds is replaced by the
declared default, and named; without a default, and for anything that is no finite number, the model is unavailable.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter, le
from struct import pack
from typing import Any, Final, NamedTuple

from app.contract.model import Feature

DIGEST_HEX_DIGITS: Final = 16

# The number at a path, None where there is none of the feature's type.
Reader = Callable[[Mapping[str, Any]], float | None]


class Vector(NamedTuple):
    """defaulted: names of the features that took their default. unavailable: why there can be no score."""

    values: list[float]
    defaulted: list[str]
    unavailable: str | None

    @property
    def digest(self) -> str:
        """First 16 hex digits of BLAKE2b-512 over the values in order, as little-endian IEEE 754 doubles."""
        return blake2b(pack(f"<{len(self.values)}d", *self.values)).hexdigest()[:DIGEST_HEX_DIGITS]


class _Bounded(NamedTuple):
    name: str
    read: Reader
    low: float
    high: float
    default: float | None


class Features:
    """The features of one model version, compiled once."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._bounded = [
            _Bounded(
                feature.name,
                _reader(feature),
                -sys.float_info.max if feature.min is None else feature.min,
                sys.float_info.max if feature.max is None else feature.max,
                feature.default,
            )
            for feature in features
        ]

        self._lows = [one.low for one in self._bounded]
        self._highs = [one.high for one in self._bounded]
        self._floats = [float] * len(features)
        self._runs = _runs(features)

    def of(self, attributes: Mapping[str, Any]) -> Vector:
        """attributes: event, context, user and session, as conditions see them."""
        values = self._plain(attributes)
        return self._one_by_one(attributes) if values is None else Vector(values, [], None)

    def _plain(self, attributes: Mapping[str, Any]) -> list[float] | None:
        """The usual case in a quarter of the time: every feature there, a float and within its bounds. Else None."""
        if not self._runs:
            return None
        values: list[float] = []
        try:
            for root, get in self._runs:
                values += get(attributes[root])
        except (KeyError, TypeError):
            return None
        if list(map(type, values)) != self._floats:
            return None
        return values if all(map(le, self._lows, values)) and all(map(le, values, self._highs)) else None

    def _one_by_one(self, attributes: Mapping[str, Any]) -> Vector:
        values: list[float] = []
        defaulted: list[str] = []
        unavailable = None
        for name, read, low, high, default in self._bounded:
            value = read(attributes)
            if value is not None and low <= value <= high:
                values.append(value)
            elif default is None or not (value is None or _is_finite(value)):
                unavailable = unavailable or f"{name} {_why(value, low, high)}"
                values.append(0.0)
            else:
                defaulted.append(name)
                values.append(default)
        return Vector(values, defaulted, unavailable)


def _why(value: float | None, low: float, high: float) -> str:
    if value is None:
        return "is missing"
    return f"is {value!r}, outside [{low!r}, {high!r}]" if _is_finite(value) else "is no finite number"


def _is_finite(value: float) -> bool:
    return value - value == 0.0  # an infinity or NaN less itself is NaN


def _runs(features: Sequence[Feature]) -> list[tuple[str, Callable[[Any], tuple[Any, ...]]]]:
    """(root, getter of a run of neighbours below it) where all features are numbers one step below a root, else nothing."""
    paths = [feature.path.split(".") for feature in features]
    if any(feature.type != "number" for feature in features) or any(len(path) != 2 for path in paths):
        return []
    return [(root, _getter([path[1] for path in run])) for root, run in groupby(paths, key=itemgetter(0))]


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    (only,) = names
    return lambda fields: (fields[only],)


def _reader(feature: Feature) -> Reader:
    convert = _CONVERSIONS[feature.type](feature)
    root, *steps = feature.path.split(".")
    if len(steps) == 1:
        (only,) = steps

        def read(attributes: Mapping[str, Any]) -> float | None:
            inner = attributes.get(root)
            return convert(inner.get(only)) if inner.__class__ is dict else None

        return read

    def read_deep(attributes: Mapping[str, Any]) -> float | None:
        found: Any = attributes.get(root)
        for step in steps:
            if not isinstance(found, Mapping):
                return None
            found = found.get(step)
        return convert(found)

    return read_deep


def _number(_: Feature) -> Callable[[Any], float | None]:
    def convert(value: Any) -> float | None:
        if value.__class__ is float:
            return value
        return float(value) if value.__class__ is int else None

    return convert


def _boolean(_: Feature) -> Callable[[Any], float | None]:
    return lambda value: float(value) if value.__class__ is bool else None


def _category(feature: Feature) -> Callable[[Any], float | None]:
    wanted = feature.equals
    return lambda value: (1.0 if value == wanted else 0.0) if value.__class__ is str else None


def _count(_: Feature) -> Callable[[Any], float | None]:
    return lambda value: float(len(value)) if isinstance(value, list | dict) else None


_CONVERSIONS: Final[Mapping[str, Callable[[Feature], Callable[[Any], float | None]]]] = {
    "number": _number,
    "boolean": _boolean,
    "category": _category,
    "count": _count,
}
