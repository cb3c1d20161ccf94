"""Why a request is not taken: nothing of it was kept, and its sender is told so. Each protocol words it its own way.

The codes are a table: status and whether the same request may do better later.
"""

from typing import NamedTuple


class _Kind(NamedTuple):
    """retry_seconds None: the same request will be refused again. close: what is left of it is not worth reading."""

    status: int
    retry_seconds: int | None = None
    close: bool = False


KINDS: dict[str, _Kind] = {
    "malformed": _Kind(400),
    "too_deep": _Kind(400),
    "slow": _Kind(408, close=True),
    "too_large": _Kind(413, close=True),
    "unknown_key": _Kind(401),
    "bad_token": _Kind(401),
    "foreign_origin": _Kind(403),
    "not_allowed": _Kind(403),
    "rate_limited": _Kind(429, retry_seconds=1),
    "overloaded": _Kind(503, retry_seconds=1),
    "spool_full": _Kind(503, retry_seconds=10),
    "stopping": _Kind(503, retry_seconds=1, close=True),
}


class RefusalError(Exception):
    """code: one of KINDS. message: what is wrong and the remedy; never content of an event."""

    def __init__(self, code: str, message: str, retry_seconds: int | None = None) -> None:
        super().__init__(code, message)
        kind = KINDS[code]
        self.code = code
        self.message = message
        self.status = kind.status
        self.retry_seconds = kind.retry_seconds if retry_seconds is None else retry_seconds
        self.close = kind.close

    def headers(self) -> dict[str, str]:
        headers = {} if self.retry_seconds is None else {"Retry-After": str(self.retry_seconds)}
        return headers | {"Connection": "close"} if self.close else headers
