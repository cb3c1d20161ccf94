"""The edge's OpenAPI document, built from the collectors: what is served is what is described."""

from collections.abc import Iterable
from typing import Any

from app.edge.collectors.dialect import Dialect
from app.edge.decide import DEADLINE_MAX_MS
from app.edge.decisions import USER_TOKEN_MAX_SECONDS
from app.edge.ofrep.description import ofrep_paths
from app.edge.pushed import STREAM_ANSWERS
from app.edge.served import WHY
from app.edge.static import FILES

_OBJECT = {"type": "object"}
_SECURITY: list[dict[str, list[str]]] = [{"writeKey": []}, {"bearer": []}, {}]
_ANSWERS = {
    200: "kept: in Kafka, or synced to the spool",
    400: "no request of this protocol",
    401: "no known write key",
    403: "a page of an origin that is not allowed",
    408: "too slow",
    413: "too large",
    422: "too large, in a protocol that knows no 413",
    429: "this key may send more after Retry-After",
    503: "nothing was kept; send it again after Retry-After",
}
# What a body looks like, by collector; unknown fields are kept.
_BODIES: dict[str, dict[str, Any]] = {
    "edge": {
        "oneOf": [
            {"$ref": "#/components/schemas/Envelope"},
            {"type": "array", "items": {"$ref": "#/components/schemas/Envelope"}},
        ]
    },
    "segment": {
        "type": "object",
        "properties": {
            "writeKey": {"type": "string"},
            "batch": {"type": "array", "items": {"$ref": "#/components/schemas/SegmentEvent"}},
            "type": {"enum": ["track", "identify", "page", "screen", "alias", "group"]},
        },
    },
    "amplitude": {
        "type": "object",
        "required": ["api_key", "events"],
        "properties": {
            "api_key": {"type": "string"},
            "events": {"type": "array", "items": {"$ref": "#/components/schemas/AmplitudeEvent"}},
        },
    },
    "snowplow": {
        "type": "object",
        "required": ["schema", "data"],
        "properties": {
            "schema": {"type": "string"},
            "data": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}},
        },
    },
}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_SCHEMAS: dict[str, Any] = {
    "Envelope": {
        "type": "object",
        "required": ["event_name", "event_id", "ts"],
        "properties": {
            "event_name": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$"},
            "event_id": {"type": "string", "minLength": 1, "maxLength": 256},
            "user_id": _TEXT_OR_NULL,
            "anonymous_id": _TEXT_OR_NULL,
            "session_id": _TEXT_OR_NULL,
            "ts": {"type": "string", "format": "date-time"},
            "properties": _OBJECT,
            "context": _OBJECT,
        },
    },
    "SegmentEvent": {
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "messageId": {"type": "string"},
            "userId": {"type": ["string", "number", "null"]},
            "anonymousId": {"type": ["string", "number", "null"]},
            "event": {"type": "string"},
            "timestamp": {"type": "string"},
            "properties": _OBJECT,
            "traits": _OBJECT,
            "context": _OBJECT,
        },
    },
    "AmplitudeEvent": {
        "type": "object",
        "properties": {
            "event_type": {"type": "string"},
            "user_id": _TEXT_OR_NULL,
            "device_id": _TEXT_OR_NULL,
            "insert_id": {"type": "string"},
            "time": {"type": "integer"},
            "event_properties": _OBJECT,
            "user_properties": _OBJECT,
        },
    },
}


_SCHEMAS |= {
    "DecideRequest": {
        "type": "object",
        "required": ["event"],
        "properties": {
            # event_id and ts may be left out; an SDK's own deadline may be longer or shorter than the type's budget.
            "event": {"$ref": "#/components/schemas/Envelope"},
            "deadline_ms": {"type": ["integer", "null"], "minimum": 1, "maximum": DEADLINE_MAX_MS},
            "user_token": _TEXT_OR_NULL,
        },
    },
    "Decision": {
        "type": "object",
        "required": ["policy", "decision_point", "kind", "served", "action", "reason"],
        "properties": {
            "policy": {"type": "string"},
            "decision_point": {"type": "string"},
            "kind": {"enum": ["experiment", "personalization"]},
            "served": {"enum": ["variant", "fallback", "none"]},
            "action": {"type": ["object", "null"]},
            "reason": {"type": "string"},
            "decision_id": _TEXT_OR_NULL,
            "rule_version": {"type": ["integer", "null"]},
            "variant": _TEXT_OR_NULL,
            "holdout": {"type": "boolean"},
            "assignment_id": _TEXT_OR_NULL,
            "exposure_token": _TEXT_OR_NULL,
        },
    },
    "Decided": {
        "type": "object",
        "required": ["event_id", "source", "why", "deadline_ms", "decisions"],
        "properties": {
            "event_id": {"type": "string"},
            "source": {"enum": ["journal", "fallback"]},
            "why": {"enum": [None, *WHY]},
            "deadline_ms": {"type": "integer"},
            "decisions": {"type": "array", "items": {"$ref": "#/components/schemas/Decision"}},
        },
    },
    "UserTokenRequest": {
        "type": "object",
        "properties": {
            "user_id": _TEXT_OR_NULL,
            "anonymous_id": _TEXT_OR_NULL,
            "seconds": {"type": "integer", "minimum": 1, "maximum": USER_TOKEN_MAX_SECONDS},
        },
    },
    "UserToken": {
        "type": "object",
        "required": ["token", "expires_ts"],
        "properties": {"token": {"type": "string"}, "expires_ts": {"type": "string", "format": "date-time"}},
    },
}


def document(dialects: Iterable[Dialect]) -> dict[str, Any]:
    paths: dict[str, Any] = {
        "/status": {
            "get": _operation("How this edge fares", {200: "as JSON", 503: "the same, when it cannot keep events"}, [])
        },
        "/openapi.json": {"get": _operation("This document", {200: "OpenAPI 3.1"}, [])},
    }
    paths["/v1/decide"] = {"post": _asked("Decisions on one event, in time", "DecideRequest", "Decided")}
    paths["/v1/user_tokens"] = {"post": _asked("A token to read one user's decisions", "UserTokenRequest", "UserToken")}
    stream = _operation("One user's decisions, pushed as server-sent events", STREAM_ANSWERS, [{"bearer": []}, {}])
    token = {"name": "token", "in": "query", "schema": {"type": "string"}, "description": "of POST /v1/user_tokens"}
    paths["/v1/decisions/stream"] = {"get": {**stream, "parameters": [token]}}
    paths |= ofrep_paths()
    for name in FILES:
        paths[f"/static/{name}"] = {"get": _operation(f"The browser SDK: {name}", {200: "the file", 304: "unchanged"}, [])}
    for dialect in dialects:
        for path in dialect.post_paths:
            body = {"required": True, "content": {"application/json": {"schema": _BODIES[dialect.name]}}}
            paths.setdefault(path, {})["post"] = {**_operation(f"Events of {dialect.name}", _ANSWERS), "requestBody": body}
        for path in dialect.get_paths:
            names = ("aid", "e", "eid", "duid", "uid", "url", "page", "ue_px", "cx")
            query = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]
            paths.setdefault(path, {})["get"] = {**_operation(f"One event of {dialect.name}", _ANSWERS), "parameters": query}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Truelift edge", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {
                "writeKey": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _asked(summary: str, asks: str, answers: str) -> dict[str, Any]:
    """An operation that answers with JSON of a schema."""
    operation = _operation(summary, {status: text for status, text in _ANSWERS.items() if status != 422})
    operation["responses"]["200"] = {"description": "the answer", "content": _json_of(answers)}
    return {**operation, "requestBody": {"required": True, "content": _json_of(asks)}}


def _json_of(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _operation(summary: str, answers: dict[int, str], security: Any = None) -> dict[str, Any]:
    responses = {str(status): {"description": text} for status, text in answers.items()}
    return {"summary": summary, "security": _SECURITY if security is None else security, "responses": responses}
