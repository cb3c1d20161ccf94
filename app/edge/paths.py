"""Exact paths by table, in front of the router: a collector's request costs one look-up instead of a walk over patterns.

Owns the shortcut and nothing else: what is not in the table (other paths, other methods, paths with parameters) is the
router's, which answers 404 and 405.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]
Table = Mapping[tuple[str, str], Endpoint]  # (method, path)


class Paths:
    """ASGI; `rest` is asked for what the table has not."""

    def __init__(self, table: Table, rest: ASGIApp) -> None:
        self._table = table
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._table.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self._rest(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)
