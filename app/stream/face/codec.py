"""Bytes to values and back, chosen once for a topic. Refuses: Faust's codec registry, which costs a lookup for each message."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from faust import Record
from pydantic import BaseModel

from app.stream.epoch import Headers

_PLAIN = frozenset({dict, list, str, int, float, bool})


def encode_key(key: Any) -> bytes | None:
    """str as UTF-8, bytes as they are, anything else as JSON."""
    kind = type(key)
    if kind is bytes or key is None:
        return key  # type: ignore[no-any-return]
    if kind is str:
        return key.encode()  # type: ignore[no-any-return]
    return orjson.dumps(key)


def encode_value(value: Any) -> bytes | None:
    """bytes as they are, models by their fields, anything else as JSON."""
    kind = type(value)
    if kind is bytes or value is None:
        return value  # type: ignore[no-any-return]
    if kind in _PLAIN:  # before the models: isinstance on their abstract base classes costs a microsecond
        return orjson.dumps(value)
    if isinstance(value, Record):
        return orjson.dumps(value.to_representation())
    if isinstance(value, BaseModel):
        return value.model_dump_json().encode()
    return orjson.dumps(value)


def decoder(value_type: Any) -> Callable[[bytes], Any]:
    """None: JSON; bytes: raw; str: UTF-8; a faust.Record or pydantic model: parsed into it."""
    if value_type is None:
        return orjson.loads
    if value_type is bytes:
        return _raw
    if value_type is str:
        return bytes.decode
    if isinstance(value_type, type) and issubclass(value_type, BaseModel):
        return value_type.model_validate_json
    if isinstance(value_type, type) and issubclass(value_type, Record):
        return lambda raw: value_type.from_data(orjson.loads(raw))
    raise TypeError(f"no decoder for value_type {value_type!r}: use bytes, str, a faust.Record or a pydantic model")


def encode_headers(headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]] | None) -> Headers:
    """Checked here: a wrong type must fail its record, not the transaction that carries it."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers or ())
    for name, content in pairs:
        if not isinstance(name, str) or not isinstance(content, bytes):
            raise TypeError(f"the header {name!r}: {content!r} is not str: bytes")
    return pairs


def _raw(raw: bytes) -> bytes:
    return raw
