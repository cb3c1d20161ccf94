"""JSON values as JavaScript sees them: the coercions that GrowthBook's condition language is defined by.

Owns text, number, truth, type, order and equality of a JSON value (None, bool, int, float, str, list, mapping), by
ECMA-262. Refuses anything that is not JSON. Two differences are meant: integers keep all their digits (JavaScript
rounds past 2**53, which would mistake one 64-bit id for its neighbour), and an object has its own keys only, no
inherited `constructor` or `toString`.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import inf, isinf, isnan, nan
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

ARRAY: Final = (list, tuple)

# What is remembered for a text (a version's sort key, a pattern's answer) is bounded by entries and by length, for the
# texts come from events: 1,024 times 256 characters, not 1,024 times a megabyte.
TEXTS_REMEMBERED: Final = 1_024
TEXT_REMEMBERED_MAX_CHARS: Final = 256

# ECMA-262 StringToNumber: its white space, and its literals (Python's float() would also take "nan" and "1_000").
_WHITESPACE: Final = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_RADIX: Final = re.compile(r"0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
_INFINITIES: Final = {"Infinity": inf, "+Infinity": inf, "-Infinity": -inf}

# paddedVersionString of sdk-js. JavaScript's dot stops at four line ends, and its $ only at the very end.
_VERSION_NOISE: Final = re.compile(r"^v|\+[^\n\r\u2028\u2029]*\Z")
_VERSION_SEPARATOR: Final = re.compile(r"[-.]")
_VERSION_NUMBER: Final = re.compile(r"[0-9]+")
_VERSION_NUMBER_WIDTH: Final = 5
_SEMVER_PARTS: Final = 3

_ARRAY_INDEX_MAX_DIGITS: Final = 10
_ARRAY_INDEX_LIMIT: Final = 2**32 - 1


def remembered(function: Callable[[str], Result]) -> Callable[[str], Result]:
    """`function` with a bounded memory for short texts; it must be pure."""
    recall = lru_cache(maxsize=TEXTS_REMEMBERED)(function)

    def call(text: str) -> Result:
        return recall(text) if len(text) <= TEXT_REMEMBERED_MAX_CHARS else function(text)

    return call


def type_of(value: Any) -> str:
    """JSON type name as the operator $type knows it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, ARRAY):
        return "array"
    return "object" if isinstance(value, Mapping) else "unknown"


def truthy(value: Any) -> bool:
    """!!value: empty arrays and objects are true, unlike Python's."""
    return bool(value) or isinstance(value, (list, tuple, Mapping))


def to_text(value: Any) -> str:
    """String(value)."""
    if isinstance(value, str):
        return value
    if isinstance(value, ARRAY):
        return _array_text(value)
    return _scalar_text(value)


def to_number(value: Any) -> float:
    """Number(value), NaN where there is none. A missing attribute is null and so counts as 0."""
    if value is None:
        return 0
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, Mapping):
        return nan
    return _text_number(to_text(value))


def utf16_key(text: str) -> bytes:
    """Sort key of JavaScript's string order: by UTF-16 code unit, so U+1F600 comes before U+FF5E."""
    return text.encode("utf-16-be", "surrogatepass")


def ordered_as_python(text: str) -> bool:
    """Whether comparing with `text` has one answer by code point and by UTF-16 unit, whatever the other side is.

    The two orders differ only where a character from U+E000 up meets one beyond U+FFFF.
    """
    return all(character < "\ud800" for character in text)


def version_key(value: Any) -> bytes:
    """Sort key of a version; numbers are read as text, anything but text and numbers as version "0"."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = to_text(value)
    return _version_text_key(value if isinstance(value, str) and value else "0")


def same_json(left: Any, right: Any) -> bool:
    """JSON.stringify(left) === JSON.stringify(right): strict types, and objects with their keys in the same order."""
    kind = type_of(left)
    if kind != type_of(right):
        return False
    if kind == "array":
        return len(left) == len(right) and all(map(same_json, left, right))
    if kind == "object":
        keys = property_order(left)
        return keys == property_order(right) and all(same_json(left[key], right[key]) for key in keys)
    return bool(left == right)


def property_order(mapping: Mapping[str, Any]) -> list[str]:
    """Keys as JavaScript enumerates them: array indices first, ascending, then the others as inserted."""
    indices = sorted((key for key in mapping if is_array_index(key, _ARRAY_INDEX_LIMIT)), key=int)
    return indices + [key for key in mapping if not is_array_index(key, _ARRAY_INDEX_LIMIT)] if indices else [*mapping]


def is_array_index(key: str, length: int) -> bool:
    """Whether `key` is an index below `length` in canonical form: "0", "10", but not "01"."""
    return (
        len(key) <= _ARRAY_INDEX_MAX_DIGITS
        and key.isascii()
        and key.isdigit()
        and (key == "0" or key[0] != "0")
        and int(key) < length
    )


def _scalar_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float_text(value)
    return "[object Object]"


def _array_text(array: Any) -> str:
    """Array.prototype.join: nested arrays flatten, null is empty. By a stack: an event chooses its own depth."""
    texts: list[str] = []
    waiting = [*reversed(array)]
    while waiting:
        element = waiting.pop()
        if isinstance(element, ARRAY) and element:
            waiting.extend(reversed(element))
        else:
            texts.append("" if element is None else to_text(element))
    return ",".join(texts)


def _float_text(number: float) -> str:
    """ECMA-262 Number::toString: repr gives the same shortest digits, the layout differs."""
    if isnan(number):
        return "NaN"
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    if isinf(number):
        return sign + "Infinity"
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    padded = (whole + fraction).lstrip("0")
    point = int(exponent or 0) - len(fraction) + len(padded)
    return sign + _laid_out(padded.rstrip("0"), point)


def _laid_out(digits: str, point: int) -> str:
    """`digits` with the decimal point after `point` of them, in the notation that JavaScript picks."""
    if len(digits) <= point <= 21:
        return digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def _text_number(text: str) -> float:
    text = text.strip(_WHITESPACE)
    if not text:
        return 0
    if _DECIMAL.fullmatch(text):
        return float(text)
    if _RADIX.fullmatch(text):
        try:
            return float(int(text, 0))
        except OverflowError:  # beyond the largest double; float() of decimal digits says Infinity by itself
            return inf
    return _INFINITIES.get(text, nan)


@remembered
def _version_text_key(text: str) -> bytes:
    parts = _VERSION_SEPARATOR.split(_VERSION_NOISE.sub("", text))
    if len(parts) == _SEMVER_PARTS:
        # A release sorts after its pre-releases, and "~" after every other ASCII character.
        parts.append("~")
    padded = (part.rjust(_VERSION_NUMBER_WIDTH) if _VERSION_NUMBER.fullmatch(part) else part for part in parts)
    return utf16_key("-".join(padded))
