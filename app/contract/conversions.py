"""How a mapped value becomes a field of the envelope: the `type` words of the mapping language.

Owns what each word takes and gives. Refuses (ValueError) a value that it would have to guess about. Pure: an event that is sent
again is mapped to the same bytes, or its repetition would count as another event of the same id.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from app.contract.times import format_us, micros

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_MILLISECOND_US = 1_000
# The years that RFC 3339 can write.
_LAST_MS = 253_402_300_799_999


def text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a text or a number is expected")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def integer(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError("a whole number is expected")
    if isinstance(value, bool | dict | list):
        raise ValueError("a whole number is expected")
    return int(value)


def number(value: Any) -> float:
    if isinstance(value, bool | dict | list):
        raise ValueError("a number is expected")
    return float(value)


def boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word not in _TRUTH:
        raise ValueError(f"one of {', '.join(_TRUTH)} is expected")
    return _TRUTH[word]


def time(value: Any) -> str:
    """RFC 3339 of an ISO 8601 time; one without an offset is UTC."""
    if not isinstance(value, str):
        raise ValueError("a time such as 2026-11-22T10:15:30.123Z is expected")
    moment = datetime.fromisoformat(value)
    return format_us(micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))


def epoch_ms(value: Any) -> str:
    """RFC 3339 of milliseconds since 1970."""
    milliseconds = integer(value)
    if not 0 <= milliseconds <= _LAST_MS:
        raise ValueError("milliseconds since 1970 are expected")
    return format_us(milliseconds * _MILLISECOND_US)


def url_path(value: Any) -> str:
    """The path of a URL, without query and fragment: what a condition on context.route is written against."""
    if not isinstance(value, str):
        raise ValueError("a URL is expected")
    return urlsplit(value).path or "/"


# The first that is found in the text, small letters, wins: a tablet's browser says Android too, a crawler's says Mozilla.
_DEVICES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("bot", re.compile(r"bot\b|crawl|spider|headless")),
    ("tv", re.compile(r"smart-?tv|appletv|^tv$")),
    ("tablet", re.compile(r"ipad|tablet|android(?!.*mobile).*applewebkit")),
    ("mobile", re.compile(r"mobi|iphone|ipod|android|^ios$|^mob$|^phone$")),
    ("server", re.compile(r"^srv$|python|node|java/|okhttp|curl|go-http|^server$")),
    ("web", re.compile(r"mozilla|^web$|^pc$|desktop|browser")),
)
_DEVICE_CHARS = 512


def device(value: Any) -> str:
    """web | mobile | tablet | tv | server | bot, of a User-Agent or an SDK's word for its platform; else other."""
    if not isinstance(value, str):
        raise ValueError("a User-Agent or the name of a platform is expected")
    said = value[:_DEVICE_CHARS].lower()
    return next((name for name, pattern in _DEVICES if pattern.search(said)), "other")


TYPES: dict[str, Callable[[Any], Any]] = {
    "text": text,
    "integer": integer,
    "number": number,
    "boolean": boolean,
    "time": time,
    "epoch_ms": epoch_ms,
    "url_path": url_path,
    "device": device,
}
