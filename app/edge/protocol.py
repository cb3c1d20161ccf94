"""uvicorn's HTTP protocol with bounds: so many bytes of a head, so many headers, so long for head and body to arrive.

llhttp, which parses, has no bound for a head, and uvicorn no deadline before its first answer: a thousand clients that send a
byte a second would hold every connection (slowloris), one with an endless header the memory. How large a body may be is in
body.py, where its collector is known.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX = 32 * 1024
HEADERS_MAX = 100
# A body that nobody reads has no deadline of its own: its connection ends this much after the one of bodies that are read.
GRACE_SECONDS = 5.0
_TOO_LARGE = b"431 Request Header Fields Too Large"
_TOO_LARGE_SAID = b"The head of the request is too large."
_TIMEOUT = b"408 Request Timeout"
_ANSWER = (
    b"HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n"
    b"x-content-type-options: nosniff\r\n\r\n%s"
)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. The two times are those of `bounded`."""

    head_seconds = 10.0
    body_seconds = 30.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._in_head = True
        self._unparsed_bytes = 0  # of a head that is not complete
        self._head_bytes = 0
        self._refused = False
        self._deadline: asyncio.TimerHandle | None = None
        self._expect_within(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            self._unparsed_bytes += len(data)
            if self._deadline is None:
                self._expect_within(self.head_seconds)
        super().data_received(data)
        if self._in_head and self._unparsed_bytes > HEAD_BYTES_MAX:
            self._refuse(_TOO_LARGE, _TOO_LARGE_SAID)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unparsed_bytes = 0
        if not self._refused:
            self._expect_within(self.body_seconds + GRACE_SECONDS)
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._refused:
            self._in_head = True
            self._expect_nothing()
            super().on_message_complete()

    def _count_head(self, more_bytes: int) -> None:
        self._head_bytes += more_bytes
        if self._head_bytes > HEAD_BYTES_MAX or len(self.headers) >= HEADERS_MAX:
            self._refuse(_TOO_LARGE, _TOO_LARGE_SAID)

    def _expect_within(self, seconds: float) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(seconds, self._too_late)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if self._in_head:
            self._refuse(_TIMEOUT, b"The head of the request did not arrive in time.")
        else:
            self.transport.close()

    def _refuse(self, status: bytes, message: bytes) -> None:
        if not self._refused:
            self._refused = True
            self._expect_nothing()
            self.transport.write(_ANSWER % (status, len(message), message))
            self.transport.close()


def bounded(head_seconds: float, body_seconds: float) -> type[BoundedProtocol]:
    """The protocol with these deadlines: uvicorn makes one instance a connection and takes no arguments for it."""
    return type("Protocol", (BoundedProtocol,), {"head_seconds": head_seconds, "body_seconds": body_seconds})
