"""The sample site, served from a thread of the tests: as it is, or with a browser SDK that a test has broken on purpose."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.sample.site import Site, SiteOptions
from app.edge.static import FOLDER
from tests.edge.browser.driver import wait_for

SDK = (FOLDER / "truelift.js").read_text()
BROKEN = "/broken.js"


class TestSite:
    """ASGI. options, sdk: may be exchanged between two pages."""

    __test__ = False

    def __init__(self, options: SiteOptions) -> None:
        self.options = options
        self.sdk = SDK

    def broken(self, *changes: tuple[str, str]) -> None:
        """From the next page on: the SDK with these texts exchanged, each of which it has exactly once."""
        self.sdk = SDK
        for text, instead in changes:
            assert self.sdk.count(text) == 1, text
            self.sdk = self.sdk.replace(text, instead)
        self.options = self.options._replace(script=BROKEN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = Site(self.options).asgi
        if scope["type"] == "http" and scope["path"] == BROKEN:
            app = Response(self.sdk, headers={"cache-control": "no-store"}, media_type="text/javascript")
        elif scope["type"] == "http" and scope["path"] == "/elsewhere":
            app = Response("<title>elsewhere</title>", media_type="text/html")
        await app(scope, receive, send)

    def reset(self, options: SiteOptions) -> None:
        self.options = options


@contextmanager
def served(site: ASGIApp, port: int) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(site, host="127.0.0.1", port=port, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, name="site")
    thread.start()
    wait_for(lambda: server.started, "the site")
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


__all__ = ["BROKEN", "SDK", "Request", "TestSite", "served"]
