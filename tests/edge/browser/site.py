"""The sample site, served from a thread of the tests: as it is, or with a browser SDK that a test has broken on purpose."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.sample.site import Site, SiteOptions
from app.edge.static import FOLDER
from tests.edge.browser.driver import wait_for

SDK = (FOLDER / "truelift.js").read_text()
BROKEN, COPIED, ELSEWHERE = "/broken.js", "/app/onboarding/copied", "/elsewhere"

Changes = Sequence[tuple[str, str]]


class PlayedSite:
    """ASGI. `options` may be exchanged between two pages; `copied` is a page that a cache would give to anybody."""

    def __init__(self, options: SiteOptions) -> None:
        self.options = options
        self.copied = ""
        self._sdk = SDK

    def broken(self, changes: Changes) -> None:
        """From the next page on: the SDK with these texts exchanged, each of which it has exactly once."""
        self._sdk = SDK
        for text, instead in changes:
            assert self._sdk.count(text) == 1, text
            self._sdk = self._sdk.replace(text, instead)
        self.options = self.options._replace(script=BROKEN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = {
            BROKEN: Response(self._sdk, media_type="text/javascript", headers={"cache-control": "no-store"}),
            COPIED: Response(self.copied, media_type="text/html"),
            ELSEWHERE: Response("<title>elsewhere</title>", media_type="text/html"),
        }
        await own.get(scope["path"], Site(self.options).asgi)(scope, receive, send)


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
