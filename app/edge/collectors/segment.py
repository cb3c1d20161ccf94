"""Segment's HTTP API, and RudderStack's, which is the same: POST /v1/batch, one path for each kind, analytics.js's short ones.

Bounds as Segment documents them: 32 KB an event, 500 KB a batch. Their SDKs try again on 429 (after Retry-After) and on 5xx,
and give up on any other 4xx; RudderStack's Python SDK wants `code` and `message` in an error.
"""

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from app.edge.collectors.dialect import Answer, Ask, Dialect, basic_or_bearer, json_response, objects_in, text_of
from app.edge.intake import Sent, take_sent
from app.edge.refusal import RefusalError

EVENT_BYTES = 32 * 1024
BATCH_BYTES = 500 * 1024
BATCH_PATHS = ("/v1/batch", "/v1/import")
KINDS = ("track", "identify", "page", "screen", "alias", "group")
# analytics.js: the first letter; screen has none.
SHORT = {"t": "track", "i": "identify", "p": "page", "a": "alias", "g": "group", "b": "batch"}
KIND_OF_PATH = {f"/v1/{kind}": kind for kind in KINDS}
for _letter, _kind in SHORT.items():
    KIND_OF_PATH |= {f"/{_letter}": _kind, f"/v1/{_letter}": _kind}


def key_of(ask: Ask) -> str | None:
    """Basic auth; analytics.js, whose beacons have no headers, writes it into the body."""
    return basic_or_bearer(ask.headers) or text_of(ask.json, "writeKey")


def events_of(ask: Ask) -> Sequence[Sent]:
    if not isinstance(ask.json, dict):
        raise RefusalError("malformed", "the body is no JSON object; send one event, or {batch: [events]}")
    kind = KIND_OF_PATH.get(ask.path, "batch")
    if kind != "batch":
        return [_sent({**ask.json, "type": kind}, None)]
    batch = objects_in(ask.json.get("batch"), "batch")
    # What holds for the batch holds for each of its events that does not say otherwise.
    return [_sent(event, ask.json.get("context")) for event in batch]


def _sent(event: dict[str, Any], shared_context: Any) -> Sent:
    fields = event
    if isinstance(shared_context, dict):
        own = event.get("context")
        fields = {**event, "context": {**shared_context, **(own if isinstance(own, dict) else {})}}
    kind, name = text_of(event, "type") or "", text_of(event, "event") or text_of(event, "name")
    return Sent(kind, () if name is None else (name,), fields, {k: v for k, v in event.items() if k != "writeKey"})


def accepted(answer: Answer) -> Response:
    return json_response({"success": True})


def refused(refusal: RefusalError) -> Response:
    body = {"success": False, "code": refusal.code, "message": refusal.message}
    return json_response(body, refusal.status, refusal.headers())


SEGMENT = Dialect(
    name="segment",
    post_paths=(*BATCH_PATHS, *KIND_OF_PATH),
    get_paths=(),
    body_bytes=BATCH_BYTES,
    event_bytes=EVENT_BYTES,
    key=key_of,
    events=events_of,
    take=take_sent,
    accepted=accepted,
    refused=refused,
)
