"""Snowplow's tracker protocol: POST /com.snowplowanalytics.snowplow/tp2 (payload_data) and GET /i, answered with a pixel.

Trackers have no credentials: the app id (`aid`) is the write key. They try again for ever on any status but 400, 401, 403, 410
and 422, so what can never succeed is answered with one of those. Self-describing events and contexts come as JSON or base64url
of it; they are unwrapped here, the rest is mapping.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

from app.contract.envelope import DEPTH_MAX, is_too_deep
from app.edge.collectors.dialect import Answer, Ask, Dialect, json_response, objects_in, text_of
from app.edge.intake import Sent, take_sent
from app.edge.refusal import RefusalError

BODY_BYTES = 1 << 20
EVENT_BYTES = 64 * 1024
POST_PATH = "/com.snowplowanalytics.snowplow/tp2"
GET_PATH = "/i"
# A transparent GIF of one pixel.
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
# Their SDKs know no others as final.
_FINAL = {413: 422, 408: 422}
# The secret part of what a tracker sends; it is no part of the event. stm changes with every try.
_LEFT_OUT = ("aid", "stm")


def key_of(ask: Ask) -> str | None:
    """That of all events: a request with several app ids is refused."""
    found = {text_of(event, "aid") for event in _payloads(ask)}
    return found.pop() if len(found) == 1 else None


def events_of(ask: Ask) -> Sequence[Sent]:
    request = {"user_agent": ask.headers.get("user-agent")}
    return [_sent(payload, request) for payload in _payloads(ask)]


def _payloads(ask: Ask) -> list[dict[str, Any]]:
    if ask.path == GET_PATH:
        return [dict(ask.query)]
    return objects_in(ask.json.get("data") if isinstance(ask.json, dict) else None, "data of payload_data")


def _sent(payload: dict[str, Any], request: Mapping[str, Any]) -> Sent:
    original = {name: value for name, value in payload.items() if name not in _LEFT_OUT}
    kind = text_of(payload, "e") or ""
    fields: dict[str, Any] = {**original, "request": request, "contexts": _contexts(payload) or None}
    names: tuple[str, ...] = ()
    if kind == "ue":
        event = _inner(_unwrapped(payload, "ue_pr", "ue_px"))
        names = _names(text_of(event, "schema"))
        fields |= {"data": event.get("data"), "schema": event.get("schema")}
    elif kind == "se":
        names = tuple(filter(None, [text_of(payload, "se_ac")]))
    if names:
        fields["sent_as"] = names[-1]
    return Sent(kind, names, fields, original)


def _contexts(payload: dict[str, Any]) -> dict[str, Any]:
    """Entities by the name of their schema; of several with one name the first."""
    found: dict[str, Any] = {}
    wrapped = _unwrapped(payload, "co", "cx")
    entities = wrapped.get("data") if isinstance(wrapped, dict) else None
    for entity in entities if isinstance(entities, list) else ():
        names = _names(text_of(entity, "schema"))
        if names:
            found.setdefault(names[-1], entity.get("data"))
    return found


def _inner(wrapped: Any) -> dict[str, Any]:
    """The self-describing event inside of unstruct_event."""
    data = wrapped.get("data") if isinstance(wrapped, dict) else None
    return data if isinstance(data, dict) else {}


def _unwrapped(payload: dict[str, Any], plain: str, encoded: str) -> Any:
    """JSON of one of the two fields; None when it is neither there nor readable: the original keeps it for the dead letter."""
    text = text_of(payload, plain)
    try:
        if text is None:
            text = text_of(payload, encoded)
            if text is None:
                return None
            # Trackers leave the padding out.
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")
        else:
            raw = text.encode()
        value = orjson.loads(raw)
    except (binascii.Error, orjson.JSONDecodeError, ValueError):
        return None
    return None if is_too_deep(value, DEPTH_MAX // 2) else value


def _names(schema: str | None) -> tuple[str, ...]:
    """iglu:com.acme/order_completed/jsonschema/1-0-0 -> (com.acme/order_completed, order_completed)."""
    parts = (schema or "").removeprefix("iglu:").split("/")
    return (f"{parts[0]}/{parts[1]}", parts[1]) if len(parts) >= 2 and parts[1] else ()


def accepted(answer: Answer) -> Response:
    if answer.ask.path == GET_PATH:
        return Response(PIXEL, media_type="image/gif")
    return Response(b"ok", media_type="text/plain")


def refused(refusal: RefusalError) -> Response:
    status = _FINAL.get(refusal.status, refusal.status)
    return json_response({"code": refusal.code, "message": refusal.message}, status, refusal.headers())


SNOWPLOW = Dialect(
    name="snowplow",
    post_paths=(POST_PATH,),
    get_paths=(GET_PATH,),
    body_bytes=BODY_BYTES,
    event_bytes=EVENT_BYTES,
    key=key_of,
    events=events_of,
    take=take_sent,
    accepted=accepted,
    refused=refused,
)
