"""The sample site's pages, and what a site has to do: an id in a cookie, the decisions, headers that keep caches out.

The server-rendered page hands its decisions over in its HTML, so that the browser shows what the server has drawn. Refuses to
be fetched in advance: a page that was prepared and never opened would be a decision for nobody.
"""

import asyncio
import html
import json
import re
import time
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from app.contract.times import format_us

FOLDER = Path(__file__).parent
COOKIE = "truelift_id"
COOKIE_SECONDS = 365 * 86_400
SLOT = "onboarding.nudge"
# As the browser SDK writes and reads it.
_ANONYMOUS_ID = re.compile(r"[\w-]{1,64}").fullmatch
# Nothing of a page that differs by visitor may be kept: not by a proxy, not for the next visitor of this browser.
NOT_CACHED = {"cache-control": "private, no-store", "vary": "Cookie"}
# The same page for everybody: any cache may keep it, the variant comes by script.
CACHED = {"cache-control": "public, max-age=60"}


class SiteOptions(NamedTuple):
    """sdk: more options of the browser SDK. script: the SDK's address; none: the edge's."""

    edge: str
    public_key: str
    server_key: str
    deadline_ms: int
    sdk: Mapping[str, Any] = MappingProxyType({})
    script: str = ""


class Site:
    """`asgi` is the application."""

    def __init__(self, options: SiteOptions) -> None:
        self._options = options
        self._pages = {name: Template((FOLDER / f"{name}.html").read_text()) for name in ("client", "server")}
        self.asgi = Starlette(routes=[Route("/app/onboarding", self._client), Route("/app/onboarding/server", self._server)])

    async def _client(self, request: Request) -> Response:
        return HTMLResponse(self._pages["client"].substitute(self._common()), headers=CACHED)

    async def _server(self, request: Request) -> Response:
        if "prefetch" in request.headers.get("sec-purpose", ""):
            return Response(status_code=503, headers=NOT_CACHED)
        known = request.cookies.get(COOKIE, "")
        anonymous_id = known if _ANONYMOUS_ID(known) else str(uuid.uuid4())
        decisions = await asyncio.to_thread(self._decide, anonymous_id, request.url.path)
        decision = next((found for found in decisions if found["decision_point"] == SLOT and found["action"]), None)
        state = {"event_name": "page_view", "anonymous_id": anonymous_id, "user_id": None, "decisions": decisions}
        drawn = {
            "decision_id": html.escape((decision or {}).get("decision_id") or "-"),
            "slot": _drawn(decision["action"]) if decision else "",
            # "<" would end the script that it stands in.
            "state": json.dumps(state).replace("<", "\\u003c"),
        }
        page = HTMLResponse(self._pages["server"].substitute(self._common() | drawn), headers=NOT_CACHED)
        page.set_cookie(COOKIE, anonymous_id, max_age=COOKIE_SECONDS, samesite="lax")
        return page

    def _common(self) -> dict[str, str]:
        site = self._options
        options = {"edge": site.edge, "key": site.public_key, "deadlineMs": site.deadline_ms, **site.sdk}
        script = site.script or f"{site.edge}/static/truelift.js"
        return {"script": html.escape(script), "options": json.dumps(options).replace("<", "\\u003c")}

    def _decide(self, anonymous_id: str, route: str) -> list[dict[str, Any]]:
        """The decisions of this page view. None when the edge is not reached: the page is then drawn as for everybody."""
        event = {
            "event_name": "page_view",
            "event_id": str(uuid.uuid4()),
            "anonymous_id": anonymous_id,
            "ts": format_us(time.time_ns() // 1_000),
            "context": {"route": route},
        }
        asked = urllib.request.Request(  # noqa: S310 -- the operator's own address
            f"{self._options.edge}/v1/decide",
            json.dumps({"event": event, "deadline_ms": self._options.deadline_ms}).encode(),
            {"Authorization": f"Bearer {self._options.server_key}"},
        )
        try:
            with urllib.request.urlopen(asked, timeout=2 * self._options.deadline_ms / 1_000) as answer:  # noqa: S310
                found: list[dict[str, Any]] = json.load(answer)["decisions"]
                return found
        except OSError:
            return []


def _drawn(action: dict[str, Any]) -> str:
    """As `fill` of the pages draws it."""
    if action.get("component") != "nudge":
        return ""
    return f'<p class="nudge">{html.escape(action["payload"]["copy"])}</p>'
