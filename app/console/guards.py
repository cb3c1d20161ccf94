"""What every answer carries and what no request may do: a strict content policy, known hosts, no writing from other sites.

A service on loopback is reachable from every page that its user opens: a name that is rebound to 127.0.0.1 would make a
foreign page same-origin (DNS rebinding), so the Host must be one of ours. A request that writes must say that it comes from our
own pages (Origin, Sec-Fetch-Site); the token in each form (actions.py) is asked besides.
"""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
SECURITY = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With no-referrer a browser would send our own forms with "Origin: null".
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
# Short, for their addresses do not change with a new version.
STATIC_KEPT = "private, max-age=600"
READING = frozenset({"GET", "HEAD"})


class Guards:
    """origins: as browsers write them, scheme and all; each is also a Host."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._hosts = frozenset(origin.partition("://")[2] for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in SECURITY.items():
                    headers[name] = value
                # Style and script are the same for everybody; a page is one person's.
                headers.setdefault("cache-control", STATIC_KEPT if scope["path"].startswith("/static/") else "no-store")
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        answer = self._app if refusal is None else refusal
        await answer(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers) -> PlainTextResponse | None:
        if headers.get("host", "") not in self._hosts:
            return PlainTextResponse("This host is not the console's; set TRUELIFT_CONSOLE_ORIGIN.", 421)
        if method in READING:
            return None
        if headers.get("origin", "") not in self._origins or headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return PlainTextResponse("This was not sent by a page of the console.", 403)
        return None
