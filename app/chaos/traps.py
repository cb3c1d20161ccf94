"""Two traps for a worker's commits: one that loses the answer, one that holds the request while a rebalance comes."""

import asyncio
from typing import Literal

from app.chaos.proxy import Fate
from app.chaos.wire import END_TXN, HEARTBEAT, REBALANCE_IN_PROGRESS, Request, error_of, read_end_txn


class LostAnswer:
    """The transaction is committed and its worker is not told. caught: by now."""

    def __init__(self, fate: Literal["swallow", "reset"]) -> None:
        """swallow: it waits; reset: it may ask again at once."""
        self.caught = asyncio.Event()
        self._fate: Fate = fate

    def asked(self, request: Request) -> Fate:
        return "pass"

    def answered(self, request: Request, answer: bytes) -> Fate:
        if self.caught.is_set() or request.api != END_TXN:
            return "pass"
        if error_of(request, answer) or not read_end_txn(request).commits:
            return "pass"
        self.caught.set()
        return self._fate


class HeldCommit:
    """held: a commit is on its way and does not arrive. told: its worker has meanwhile been told of a rebalance."""

    def __init__(self) -> None:
        self.held = asyncio.Event()
        self.told = asyncio.Event()

    def asked(self, request: Request) -> Fate:
        if self.held.is_set() or request.api != END_TXN or not read_end_txn(request).commits:
            return "pass"
        self.held.set()
        return "hold"

    def answered(self, request: Request, answer: bytes) -> Fate:
        if self.held.is_set() and request.api == HEARTBEAT and error_of(request, answer) == REBALANCE_IN_PROGRESS:
            self.told.set()
        return "pass"
