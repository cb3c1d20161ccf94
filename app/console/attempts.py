"""How often a passphrase may be tried: of one name, and of all together. Owns two bounds and forgets with time.

By name and not by address, since behind the TLS proxy all come from one. Refuses with the seconds to wait; who knows a name can
so hold up that person's log-in, but for one window at most, and never an open session.
"""

import time
from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 300.0
FAILURES_OF_A_NAME = 5
FAILURES_OF_ALL = 60
MOST_NAMES = 1_000


class Attempts:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of_all: deque[float] = deque(maxlen=FAILURES_OF_ALL)
        self._of_name: dict[str, deque[float]] = {}

    def wait_seconds(self, name: str) -> int:
        """0: it may be tried."""
        known = self._of_name.get(name, deque())
        waits = [self._left(known, FAILURES_OF_A_NAME), self._left(self._of_all, FAILURES_OF_ALL)]
        return max(waits)

    def failed(self, name: str) -> None:
        now = self._clock()
        self._of_all.append(now)
        if name not in self._of_name and len(self._of_name) >= MOST_NAMES:
            del self._of_name[min(self._of_name, key=lambda known: self._of_name[known][-1])]
        self._of_name.setdefault(name, deque(maxlen=FAILURES_OF_A_NAME)).append(now)

    def succeeded(self, name: str) -> None:
        self._of_name.pop(name, None)

    def _left(self, failures: deque[float], most: int) -> int:
        if len(failures) < most:
            return 0
        left = failures[0] + WINDOW_SECONDS - self._clock()
        return 0 if left <= 0 else int(left) + 1
