"""Amplitude's HTTP V2 and batch APIs: POST /2/httpapi, POST /batch. The key is `api_key` in the body.

Answers in Amplitude's words, by which its SDKs decide: 413 makes them halve their batches, 429 wait, 5xx try again, and a 400
that begins with "Invalid API key" stop.
"""

import time
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from app.edge.collectors.dialect import Answer, Ask, Dialect, json_response, objects_in, text_of
from app.edge.intake import Sent, take_sent
from app.edge.refusal import RefusalError

BODY_BYTES = 1 << 20
EVENT_BYTES = 32 * 1024
# Amplitude's word for an event outside of any session.
NO_SESSION = -1
_ERRORS = {"unknown_key": (400, "Invalid API key"), "rate_limited": (429, "Too many requests for some devices and users")}


def key_of(ask: Ask) -> str | None:
    return text_of(ask.json, "api_key")


def events_of(ask: Ask) -> Sequence[Sent]:
    if not isinstance(ask.json, dict):
        raise RefusalError("malformed", "the body is no JSON object; send {api_key, events}")
    return [_sent(event) for event in objects_in(ask.json.get("events"), "events")]


def _sent(event: dict[str, Any]) -> Sent:
    name = text_of(event, "event_type")
    fields = {k: v for k, v in event.items() if k != "session_id"} if event.get("session_id") == NO_SESSION else event
    return Sent("event", () if name is None else (name,), fields, event)


def accepted(answer: Answer) -> Response:
    return json_response(
        {
            "code": 200,
            "events_ingested": len(answer.taken.records),
            "payload_size_bytes": answer.ask.body_bytes,
            "server_upload_time": time.time_ns() // 1_000_000,
        }
    )


def refused(refusal: RefusalError) -> Response:
    status, words = _ERRORS.get(refusal.code, (refusal.status, ""))
    error = f"{words}: {refusal.message}" if words else refusal.message
    return json_response({"code": status, "error": error}, status, refusal.headers())


AMPLITUDE = Dialect(
    name="amplitude",
    post_paths=("/2/httpapi", "/batch"),
    get_paths=(),
    body_bytes=BODY_BYTES,
    event_bytes=EVENT_BYTES,
    key=key_of,
    events=events_of,
    take=take_sent,
    accepted=accepted,
    refused=refused,
)
