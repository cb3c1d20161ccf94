"""Faults on purpose, for tests: dying or sleeping at a point of a commit, and the two mistakes that the design rules out.

Owns: the plan and its counting. Refuses: the environment. A plan is an argument; no worker has one unless its maker gave it.
"""

import os
import signal
from dataclasses import dataclass, field

POINTS = ("before_begin", "before_offsets", "before_commit", "after_commit", "after_apply")


@dataclass
class FaultPlan:
    """crash_at, nth: SIGKILL to self when the nth commit (from 1) reaches that point. stop_at: SIGSTOP: it becomes a zombie.

    apply_before_commit: the store is written before the transaction commits. A crash between must then show as wrong state.
    blank_group_metadata: offsets are committed as generation -1, member "". A zombie must then show as duplicates.
    """

    crash_at: str | None = None
    stop_at: str | None = None
    nth: int = 1
    apply_before_commit: bool = False
    blank_group_metadata: bool = False
    _reached: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for point in (self.crash_at, self.stop_at):
            if point is not None and point not in POINTS:
                raise ValueError(f"the point is {point!r}; use one of {', '.join(POINTS)}")

    def change(self, crash_at: str | None = None, stop_at: str | None = None, nth: int = 1) -> None:
        """Another place to die or to sleep at, counted from now. What the plan makes wrong stays as it is."""
        self.crash_at, self.stop_at, self.nth, self._reached = crash_at, stop_at, nth, 0
        self.__post_init__()

    def reach(self, point: str) -> None:
        if point in (self.crash_at, self.stop_at):
            self._reached += 1
            if self._reached == self.nth:
                os.kill(os.getpid(), signal.SIGKILL if point == self.crash_at else signal.SIGSTOP)
