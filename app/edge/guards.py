"""What every answer carries, and whose pages may ask: security headers, CORS by a list of origins.

A request that names an origin which is not on the list is refused, not only hidden from the page: a public write key that was
copied into somebody else's page writes nothing. Requests without an origin come from servers and apps.
"""

from collections.abc import Collection, Iterable, MutableMapping
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.edge.collectors.dialect import json_response
from app.edge.refusal import RefusalError

Header = tuple[bytes, bytes]

SECURITY: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    # The pixel and the answers are for other sites' pages; which of them may read is said by CORS.
    (b"cross-origin-resource-policy", b"cross-origin"),
)
# Of an answer that says nothing else: it is one caller's, and no cache may give it to another.
UNCACHED: tuple[Header, ...] = (*SECURITY, (b"cache-control", b"no-store"))
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, Content-Encoding, SP-Anonymous, X-API-Key, X-User-Token, If-None-Match"
    ),
    "Access-Control-Max-Age": "600",
}
# Beside the headers that a page may always read.
_READABLE: Header = (b"access-control-expose-headers", b"ETag, Retry-After")


class Guards:
    """ASGI in front of the application."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = _value(scope["headers"], b"origin")
        allowed = () if origin is None else self._allowed(origin)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                is_cached = any(name == b"cache-control" for name, _ in own)
                message["headers"] = [*own, *(SECURITY if is_cached else UNCACHED), *allowed]
            await send(message)

        await self._next(scope, origin, bool(allowed))(scope, receive, send_guarded)

    def _next(self, scope: MutableMapping[str, Any], origin: str | None, is_allowed: bool) -> ASGIApp:
        if origin is not None and not is_allowed:
            refusal = RefusalError("foreign_origin", "this page's origin may not write here; set TRUELIFT_EDGE_ORIGINS")
            return json_response({"code": refusal.code, "message": refusal.message}, refusal.status)
        if origin is not None and scope["method"] == "OPTIONS":
            return Response(status_code=204, headers=_PREFLIGHT)
        return self._app

    def _allowed(self, origin: str) -> tuple[Header, ...]:
        if origin not in self._origins:
            return ()
        return (b"access-control-allow-origin", origin.encode()), (b"vary", b"Origin"), _READABLE


def _value(headers: Iterable[Header], name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in headers if key == name), None)
