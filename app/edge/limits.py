"""How much a key may send, and how much may be read at once: both bounded in memory, both by this process alone."""

import contextlib
import time
from collections.abc import Iterator

from starlette.requests import Request

from app.edge.refusal import RefusalError
from app.edge.rules import Caller

# Of all bodies that are being read or kept.
BODIES_BYTES_MAX = 256 << 20
# A body whose length is not said, and a packed one once it is unpacked, may become as large as is allowed.
_PACKED_FACTOR = 8


class Rates:
    """A token bucket for each key: a second's events may come at once. As many buckets as the catalogue had keys.

    A request of more than a second's events is taken when the bucket is full, and leaves a debt.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}  # key id: (tokens, as of)

    def take(self, caller: Caller, events: int) -> None:
        """RefusalError with the time after which so many will be there."""
        rate = caller.key.events_per_second
        now = time.monotonic()
        tokens, as_of = self._buckets.get(caller.key_id, (float(rate), now))
        tokens = min(float(rate), tokens + (now - as_of) * rate)
        needed = min(events, rate)
        if tokens < needed:
            self._buckets[caller.key_id] = tokens, now
            seconds = max(1, round((needed - tokens) / rate + 0.5))
            raise RefusalError("rate_limited", f"this key may send {rate} events a second; send the rest later", seconds)
        self._buckets[caller.key_id] = tokens - events, now


class Bodies:
    """Memory of the bodies in hand."""

    def __init__(self) -> None:
        self._held_bytes = 0

    @contextlib.contextmanager
    def room(self, request: Request, limit_bytes: int) -> Iterator[int]:
        """Holds room for the request's body while it is worked on; gives the most that it may have."""
        declared = request.headers.get("content-length", "")
        known = int(declared) * _PACKED_FACTOR if len(declared) <= 12 and declared.isdecimal() else limit_bytes
        wanted = min(known, limit_bytes)
        if self._held_bytes + wanted > BODIES_BYTES_MAX:
            raise RefusalError("overloaded", f"{BODIES_BYTES_MAX} bytes of requests are in hand already; send it again")
        self._held_bytes += wanted
        try:
            yield limit_bytes
        finally:
            self._held_bytes -= wanted
