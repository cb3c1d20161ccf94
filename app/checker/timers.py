"""Timers that were set and are waiting, by what the journal says. Memory: the waiting ones."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

# A timer fires at the first tick behind its due time that the worker reaches; topics are not merged to the millisecond.
MARGIN_MS = 30_000


class Timers:
    def __init__(self) -> None:
        self.waiting: dict[str, str] = {}  # timer id -> due time
        self._tick_ms = 0

    def decided(self, decision: dict[str, Any]) -> None:
        for timer in decision["timers_set"]:
            self.waiting[timer["timer_id"]] = timer["due_ts"]
        for timer_id in decision["timers_cancelled"]:
            self.waiting.pop(timer_id, None)

    def arrived(self, timers: dict[str, str]) -> None:
        """With their unit, from another partition."""
        self.waiting |= timers

    def left(self, timer_ids: Iterable[str]) -> None:
        for timer_id in timer_ids:
            self.waiting.pop(timer_id, None)

    def fired(self, timer_id: str) -> bool:
        """False for one that was not waiting: it fired before, or was never set."""
        return self.waiting.pop(timer_id, None) is not None

    def ticked(self, tick_ms: int) -> None:
        self._tick_ms = max(self._tick_ms, tick_ms)

    def ticked_until(self, tick_ms: int, latest_ms: int) -> None:
        """A tick counts when the worker was past it for long: it journalled a later input."""
        if tick_ms <= latest_ms - MARGIN_MS:
            self.ticked(tick_ms)

    def overdue(self, latest_ms: int) -> list[tuple[str, str]]:
        """(timer id, due time) of the waiting ones that a tick had reached long before the last journalled input."""
        reached_ms = min(self._tick_ms, latest_ms - MARGIN_MS)
        return [(timer, due) for timer, due in self.waiting.items() if _milliseconds(due) <= reached_ms]


def _milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
