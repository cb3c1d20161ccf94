"""Truelift's own: POST /v1/events with one envelope, or a list of them. The answer says which were not accepted, and why.

Those are kept too, as dead letters; the caller need not send them again. The key comes by HTTP Basic, as a bearer token, or in
the body, {"write_key": "tlp_…", "events": […]}: a browser's beacon has no headers, and a request with an Authorization header
would first cost a preflight.
"""

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from app.edge.collectors.dialect import Answer, Ask, Dialect, basic_or_bearer, json_response, text_of
from app.edge.intake import NATIVE, take_native
from app.edge.refusal import RefusalError

BODY_BYTES = 1 << 20
EVENT_BYTES = 256 * 1024
EVENTS_MAX = 1_000
WRITE_KEY = "write_key"


def key_of(ask: Ask) -> str | None:
    return basic_or_bearer(ask.headers) or text_of(ask.json, WRITE_KEY)


def events_of(ask: Ask) -> Sequence[Any]:
    events = ask.json
    if isinstance(events, dict):
        events = events.get("events") if WRITE_KEY in events else [events]
    if not isinstance(events, list):
        raise RefusalError("malformed", "the body is neither an envelope nor a list of envelopes; send one of them")
    if len(events) > EVENTS_MAX:
        raise RefusalError("too_large", f"the body has {len(events)} events, {EVENTS_MAX} are allowed; send fewer at once")
    return events


def accepted(answer: Answer) -> Response:
    rejected = [
        {"index": index, "code": rejection.code, "message": rejection.message}
        for index, rejection in answer.taken.rejected.items()
    ]
    return json_response({"accepted": len(answer.taken.records) - len(rejected), "rejected": rejected})


def refused(refusal: RefusalError) -> Response:
    return json_response({"code": refusal.code, "message": refusal.message}, refusal.status, refusal.headers())


EVENTS = Dialect(
    name=NATIVE,
    post_paths=("/v1/events",),
    get_paths=(),
    body_bytes=BODY_BYTES,
    event_bytes=EVENT_BYTES,
    key=key_of,
    events=events_of,
    take=take_native,
    accepted=accepted,
    refused=refused,
)
