"""OFREP's two operations in the edge's OpenAPI document. The protocol's own document is open-feature/protocol's."""

from typing import Any

_TEXT = {"type": "string"}
_CONTEXT = {
    "type": "object",
    "required": ["context"],
    "properties": {
        "context": {
            "type": "object",
            "required": ["targetingKey"],
            "properties": {"targetingKey": {"type": "string", "minLength": 1}},
        }
    },
}
_EVALUATION = {
    "type": "object",
    "required": ["key", "reason", "variant", "metadata"],
    "properties": {
        "key": _TEXT,
        "value": {"description": "of any type; none: the code's default"},
        "reason": {"enum": ["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN"]},
        "variant": _TEXT,
        "metadata": {"type": "object", "additionalProperties": {"type": ["boolean", "string", "number"]}},
    },
}
_EVALUATIONS = {
    "type": "object",
    "required": ["flags"],
    "properties": {"flags": {"type": "array", "items": _EVALUATION}},
}
_PROBLEM = {
    "type": "object",
    "required": ["errorCode", "errorDetails"],
    "properties": {
        "key": _TEXT,
        "errorCode": {"enum": ["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "FLAG_NOT_FOUND", "GENERAL"]},
        "errorDetails": _TEXT,
    },
}
_FAILURES = {
    400: "no evaluation can be made of this",
    401: "no known write key",
    403: "not with this key, or from this origin",
    408: "too slow",
    413: "too large",
    429: "this key may ask more after Retry-After",
    503: "nothing can be evaluated now; ask again after Retry-After",
}
_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"writeKey": []}, {"apiKey": []}]


def ofrep_paths() -> dict[str, Any]:
    """Path -> operations."""
    key = {"name": "key", "in": "path", "required": True, "schema": _TEXT}
    tag = {"name": "If-None-Match", "in": "header", "schema": _TEXT}
    one = _operation("Evaluate one flag", _EVALUATION, {404: "no such flag"}, key)
    many = _operation("Evaluate all flags", _EVALUATIONS, {}, tag)
    many["responses"]["304"] = {"description": "the client holds what is still true"}
    return {"/ofrep/v1/evaluate/flags/{key}": {"post": one}, "/ofrep/v1/evaluate/flags": {"post": many}}


def _operation(summary: str, answer: dict[str, Any], more: dict[int, str], parameter: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "evaluated", "content": _json(answer)}}
    for status, text in (_FAILURES | more).items():
        responses[str(status)] = {"description": text, "content": _json(_PROBLEM)}
    body = {"required": True, "content": _json(_CONTEXT)}
    return {"summary": summary, "security": _SECURITY, "parameters": [parameter], "requestBody": body, "responses": responses}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
