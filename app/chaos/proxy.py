"""A TCP relay on the loopback interface between one client and one broker, that can be cut and listened to.

Owns: passing on, frame by frame; cuts (by resets, or silently, as a lost route does); and a trap, asked about the frames that
wire.py can read. Refuses to change what it passes on.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol, Self, cast

from app.chaos.wire import Frames, Request, correlation_of, read_request

Cut = Literal["reset", "hole"]
# What becomes of a frame. hold: it and all that follows in its direction wait for `release`. swallow: it never arrives, nor
# does anything after it on this connection. reset: the same, and both sides are told at once.
Fate = Literal["pass", "hold", "swallow", "reset"]


class Trap(Protocol):
    """Asked about every EndTxn and heartbeat."""

    def asked(self, request: Request) -> Fate: ...

    def answered(self, request: Request, answer: bytes) -> Fate: ...


class Proxy:
    """Use as an async context manager; `target` may be set after the start, as a broker advertises this address."""

    def __init__(self) -> None:
        self.target: tuple[str, int] | None = None
        self.port = 0
        self.trap: Trap | None = None
        self.refused = 0
        self._cut: Cut | None = None
        self._links: set[_Link] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Side(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._end_links()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self, mode: Cut) -> None:
        """reset: every connection ends at once, new ones too. hole: they stay, and nothing passes in either direction.

        refused counts what met the cut: connections, and pieces that did not pass.
        """
        self._cut, self.refused = mode, 0
        if mode == "reset":
            self._end_links()

    def heal(self) -> None:
        """New connections pass. Those that a hole kept are ended: what it swallowed does not come back."""
        self._end_links()
        self._cut = None

    def release(self) -> None:
        """What a trap held goes on."""
        for link in self._links:
            link.release()

    # -- what its links ask

    def admit(self, client: "_Side") -> None:
        if self._cut == "reset" or self.target is None:
            self.refused += 1
            client.abort()
            return
        link = _Link(self, client)
        self._links.add(link)
        if self._cut is None:
            link.connect(self.target)

    def passes(self) -> bool:
        """False in a hole; counted."""
        self.refused += self._cut is not None
        return self._cut is None

    def forget(self, link: "_Link") -> None:
        self._links.discard(link)

    def _end_links(self) -> None:
        for link in tuple(self._links):
            link.end()


class _Side(asyncio.Protocol):
    """One end of a link: the client's, or the one to the broker."""

    def __init__(self, proxy: Proxy | None = None) -> None:
        """proxy: of an accepted connection, which is to be admitted."""
        self.link: _Link | None = None
        self.ended = False
        self._proxy = proxy
        self._transport: asyncio.Transport | None = None

    def write(self, data: bytes) -> None:
        assert self._transport is not None, "it is connected"
        self._transport.write(data)

    def listen(self, on: bool) -> None:
        """Whether it is read from."""
        if self._transport is not None and not self.ended:
            (self._transport.resume_reading if on else self._transport.pause_reading)()

    def abort(self) -> None:
        """A reset, no polite end."""
        if self._transport is not None and not self.ended:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        if self._proxy is not None:
            self._proxy.admit(self)

    def data_received(self, data: bytes) -> None:
        if self.link is not None:
            self.link.received(self, data)

    def connection_lost(self, _: Exception | None) -> None:
        self.ended = True
        if self.link is not None:
            self.link.end()

    # The other side must not be read faster than this one takes.
    def pause_writing(self) -> None:
        if self.link is not None:
            self.link.opposite(self).listen(False)

    def resume_writing(self) -> None:
        if self.link is not None:
            self.link.opposite(self).listen(True)


class _Link:
    """One connection of a client with its own to the broker."""

    def __init__(self, proxy: Proxy, client: _Side) -> None:
        self._proxy = proxy
        self._client, self._broker = client, _Side()
        client.link = self._broker.link = self
        self._early: bytearray | None = bytearray()  # what the client says before the broker is there: its first request
        self._requests, self._answers = Frames(), Frames()
        self._waiting: dict[int, Request] = {}
        self._held: list[bytes] | None = None
        self._deaf = False
        self._connecting: asyncio.Task[None] | None = None

    def connect(self, target: tuple[str, int]) -> None:
        self._connecting = asyncio.get_running_loop().create_task(self._connect(*target))

    async def _connect(self, host: str, port: int) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self._broker, host, port)
        except OSError:  # the broker is down: the client is told as if it had asked it
            self.end()
            return
        early, self._early = self._early or b"", None
        if self._client.ended:
            self._broker.abort()
        else:
            self._pass(self._requests, bytes(early), self._fate_of_request, self._to_broker)

    def opposite(self, side: _Side) -> _Side:
        return self._broker if side is self._client else self._client

    def received(self, side: _Side, data: bytes) -> None:
        if not self._proxy.passes() or self._deaf:
            return
        if self._early is not None:
            self._early += data
        elif side is self._client:
            self._pass(self._requests, data, self._fate_of_request, self._to_broker)
        else:
            self._pass(self._answers, data, self._fate_of_answer, self._client.write)

    def release(self) -> None:
        held, self._held = self._held, None
        for frame in held or ():
            self._broker.write(frame)

    def end(self) -> None:
        self._proxy.forget(self)
        self._client.abort()
        self._broker.abort()

    def _pass(self, frames: Frames, data: bytes, fate_of: Callable[[bytes], Fate], write: Callable[[bytes], None]) -> None:
        for frame in frames.feed(data):
            match fate_of(frame):
                case "pass":
                    write(frame)
                case "hold":
                    self._held = [frame]
                case "swallow":
                    self._deaf = True
                    return
                case "reset":
                    self.end()
                    return

    def _to_broker(self, frame: bytes) -> None:
        if self._held is None:
            self._broker.write(frame)
        else:
            self._held.append(frame)

    def _fate_of_request(self, frame: bytes) -> Fate:
        request = read_request(frame)
        if request is None:
            return "pass"
        self._waiting[request.correlation] = request
        return "pass" if self._proxy.trap is None or self._held is not None else self._proxy.trap.asked(request)

    def _fate_of_answer(self, frame: bytes) -> Fate:
        request = self._waiting.pop(correlation_of(frame), None)
        return "pass" if request is None or self._proxy.trap is None else self._proxy.trap.answered(request, frame)
