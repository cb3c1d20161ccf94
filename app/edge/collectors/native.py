"""Truelift's own: POST /v1/events with one envelope, or a list of them. The answer says which were not accepted, and why.

Those are kept too, as dead letters; the caller need not send them again. The key comes by HTTP Basic or as a bearer token.
"""

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from app.edge.collectors.dialect import Answer, Ask, Dialect, basic_or_bearer, json_response
from app.edge.intake import NATIVE, take_native
from app.edge.refusal import RefusalError

BODY_BYTES = 1 << 20
EVENT_BYTES = 256 * 1024
EVENTS_MAX = 1_000


def key_of(ask: Ask) -> str | None:
    return basic_or_bearer(ask.headers)


def events_of(ask: Ask) -> Sequence[Any]:
    if isinstance(ask.json, dict):
        return [ask.json]
    if not isinstance(ask.json, list):
        raise RefusalError("malformed", "the body is neither an envelope nor a list of envelopes; send one of them")
    if len(ask.json) > EVENTS_MAX:
        raise RefusalError("too_large", f"the body has {len(ask.json)} events, {EVENTS_MAX} are allowed; send fewer at once")
    return ask.json


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
