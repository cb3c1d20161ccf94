"""What a collector is: the differences between protocols as values. What they share is flow.py."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from starlette.responses import Response

from app.edge.intake import Arrival, Sent, Taken
from app.edge.refusal import RefusalError
from app.edge.rules import Rules


class Ask(NamedTuple):
    """A request once its body is read. json: None where there was none. body_bytes: unpacked."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    json: Any
    body_bytes: int


class Answer(NamedTuple):
    """What a dialect words its success from."""

    ask: Ask
    taken: Taken
    arrival: Arrival


class Dialect(NamedTuple):
    """One protocol. name: the source of its events, and its table in the catalogue's mappings.

    key: what the request shows as its key. events: what is in it, as `take` wants it; RefusalError("malformed") when the
    body is none of this protocol. accepted, refused: the answers. A refusal's status may be another one here.
    """

    name: str
    post_paths: tuple[str, ...]
    get_paths: tuple[str, ...]
    body_bytes: int
    event_bytes: int
    key: Callable[[Ask], str | None]
    events: Callable[[Ask], Sequence[Any]]
    take: Callable[[Sequence[Any], Arrival, Rules], Taken]
    accepted: Callable[[Answer], Response]
    refused: Callable[[RefusalError], Response]


Events = Sequence[Sent]


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, "application/json")


def basic_or_bearer(headers: Mapping[str, str]) -> str | None:
    """The user of HTTP Basic (the password is empty or the same for all), or a bearer token."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return None


def text_of(value: Any, name: str) -> str | None:
    """A text in a JSON object; None for anything else."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def objects_in(value: Any, what: str) -> list[dict[str, Any]]:
    """RefusalError unless `value` is a list of objects."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise RefusalError("malformed", f"{what} is no list of objects; send one object for each event")
    return value
