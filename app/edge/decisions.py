"""The routes that give decisions: `POST /v1/decide`, and `POST /v1/user_tokens` for those who hand tokens out.

POST /v1/decide, write key by HTTP Basic, as a bearer token, or as write_key in the body (a public one will do):
    {"event": {<envelope as of /v1/events; event_id and ts may be left out>}, "deadline_ms": 120, "user_token": "tlu1.…"}
deadline_ms is optional; user_token too, unless the key asks for it (`truelift writekeys new --user-tokens`): then a user_id's
decisions are given to nobody else (403).
200 {"event_id": "…", "source": "journal" | "fallback", "why": null | "deadline" | … (app/edge/served.WHY), "deadline_ms": 130,
     "decisions": [{"policy", "decision_point", "kind", "served": "variant" | "fallback" | "none", "action": {…} | null,
                    "reason", "decision_id", "rule_version", "variant", "holdout", "assignment_id", "exposure_token"}]}
`served` "none": there is nothing to show (not eligible, held out, stopped, delayed). A fallback's ids are null. 400 {"code",
"message"}: no event that can be decided on.

What was really shown is then acknowledged, once, in every arm alike:
    POST /v1/events {"event_name": "experiment_exposure", "event_id", "ts", "exposure_token": "<of the decision>",
                     "properties": {"surface", "rendered_ts", "decision_to_render_ms"}, "context": {…}}
`experiment` and the unit are the token's; what the client says of them must agree.

POST /v1/user_tokens, server key: {"user_id": "u-42"} or {"anonymous_id": "a-9"}, "seconds" optional -> {"token", "expires_ts"}.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.contract.envelope import ANONYMOUS_PREFIX, NAME_MAX_CHARS, Rejection
from app.contract.times import SECOND_US, format_us
from app.edge.body import parsed, read_body
from app.edge.collectors.dialect import basic_or_bearer, json_response, text_of
from app.edge.collectors.native import BODY_BYTES, WRITE_KEY, refused
from app.edge.decide import Asked
from app.edge.edge import Edge
from app.edge.refusal import RefusalError
from app.edge.rules import Caller

USER_TOKEN_SECONDS = 3_600
USER_TOKEN_MAX_SECONDS = 86_400


class Decisions:
    """Endpoints of one edge."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def decide(self, request: Request) -> Response:
        return await self._answered(request, self._decide)

    async def user_token(self, request: Request) -> Response:
        return await self._answered(request, self._user_token)

    async def _answered(self, request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        try:
            return await answer(request)
        except RefusalError as refusal:
            self._edge.counts[f"refused_{refusal.code}"] += 1
            return refused(refusal)

    async def _decide(self, request: Request) -> Response:
        edge = self._edge
        received_us = time.time_ns() // 1_000
        body, caller = await read_asked(edge, request)
        event, deadline_ms = body.get("event"), body.get("deadline_ms")
        if not isinstance(event, dict):
            raise RefusalError("malformed", 'event is missing; send {"event": {<the envelope>}}')
        if deadline_ms is not None and type(deadline_ms) is not int:
            raise RefusalError("malformed", "deadline_ms is no whole number; send milliseconds, or leave it out")
        asked = Asked(caller, received_us, deadline_ms, request.is_disconnected, text_of(body, "user_token"))
        served = await edge.decider.decide(event, asked)
        if isinstance(served, Rejection):
            edge.counts["decide_rejected"] += 1
            return json_response({"code": served.code, "message": served.message}, 400)
        edge.counts[f"decide_{served.why or served.source}"] += 1
        return json_response(served.body())

    async def _user_token(self, request: Request) -> Response:
        edge = self._edge
        body, caller = await read_asked(edge, request)
        if not caller.is_server:
            raise RefusalError("not_allowed", "a user's token is given to a server key only; ask from your server")
        unit, seconds = _unit_in(body), body.get("seconds", USER_TOKEN_SECONDS)
        if type(seconds) is not int or not 1 <= seconds <= USER_TOKEN_MAX_SECONDS:
            raise RefusalError("malformed", f"seconds is no number from 1 to {USER_TOKEN_MAX_SECONDS}")
        expires_us = time.time_ns() // 1_000 + seconds * SECOND_US
        return json_response({"token": edge.tokens.user(unit, seconds), "expires_ts": format_us(expires_us)})


async def read_asked(edge: Edge, request: Request) -> tuple[dict[str, Any], Caller]:
    """The JSON object of a request and whose key it shows. RefusalError."""
    with edge.bodies.room(request, edge.largest_body(BODY_BYTES)) as limit_bytes:
        raw = await read_body(request, limit_bytes, edge.body_seconds)
        body = parsed(raw)
        caller = edge.rules.caller(basic_or_bearer(request.headers) or text_of(body, WRITE_KEY))
        if caller is None:
            raise RefusalError("unknown_key", "no write key that this edge knows; `truelift writekeys list` shows them")
        allowed = caller.key.body_bytes or BODY_BYTES
        if len(raw) > allowed:
            raise RefusalError("too_large", f"the body has {len(raw)} bytes, {allowed} are allowed; send less at once")
    if not isinstance(body, dict):
        raise RefusalError("malformed", "the body is no JSON object; send one")
    return body, caller


def _unit_in(body: dict[str, Any]) -> str:
    user_id, anonymous_id = body.get("user_id"), body.get("anonymous_id")
    name = anonymous_id if user_id is None else user_id
    if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX_CHARS or {"\x00", "\x1f"} & set(name):
        raise RefusalError("malformed", f"user_id or anonymous_id is missing; send one, up to {NAME_MAX_CHARS} characters")
    return name if user_id is not None else f"{ANONYMOUS_PREFIX}{name}"
