"""The one bell: whoever shows something live waits for it, whoever learns something rings it. Owns a count, no news."""

import asyncio
import contextlib


class Changes:
    """`count` only grows; `ended` is the end of all streams."""

    def __init__(self) -> None:
        self.count = 0
        self.ended = False
        self._bell = asyncio.Condition()
        self._ringing: set[asyncio.Task[None]] = set()

    def tell(self) -> None:
        self.count += 1
        ringing = asyncio.ensure_future(self._ring())
        self._ringing.add(ringing)
        ringing.add_done_callback(self._ringing.discard)

    def end(self) -> None:
        self.ended = True
        self.tell()

    async def after(self, count: int, seconds: float) -> int:
        """The count, once it is another one, or after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._bell:
                await self._bell.wait_for(lambda: self.count != count or self.ended)
        return self.count

    async def _ring(self) -> None:
        async with self._bell:
            self._bell.notify_all()
