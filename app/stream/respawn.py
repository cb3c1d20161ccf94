"""A worker that is begun again in the moment it ends, by a parent that has imported everything and forks.

Crash-only means that any doubt ends a worker, and imports are most of what its start costs. The parent has paid for them.

Owns: the fork, handing signals on, which ends are for another try, and how many in a row. Refuses: connections, stores, threads
and an event loop of its own; a fork would share them with the worker.
"""

import ctypes
import logging
import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from types import FrameType

from app.errors import TrueliftError
from app.stream.exits import ExitCode

log = logging.getLogger(__name__)

AGAIN = frozenset({ExitCode.KAFKA, ExitCode.STORE_DAMAGED, ExitCode.FENCED, ExitCode.DRAIN_TIMEOUT})
# What a worker returns that drained in order to begin anew.
RENEW = 3
# More restarts than this within that time: whoever started the parent is to know, and to wait.
RESTARTS_MAX = 10
RESTARTS_SECONDS = 60.0
HANDED_ON = (signal.SIGTERM, signal.SIGINT)
KILLED_BASE = 128  # plus the signal's number: as a shell says it
_PR_SET_PDEATHSIG = 1


class Respawn:
    """work: what the child does; returns its exit code."""

    def __init__(self, work: Callable[[], int]) -> None:
        self._work = work
        self._child = 0
        self._stopping = False
        self._restarts: deque[float] = deque()

    def run(self) -> int:
        """The exit code of the last child."""
        for number in HANDED_ON:
            signal.signal(number, self._hand_on)
        while True:
            self._fork()
            if self._stopping:  # asked while there was no child
                os.kill(self._child, signal.SIGTERM)
            code = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
            self._child = 0
            if self._stopping or not self._again(code):
                return code if code >= 0 else KILLED_BASE - code

    def _again(self, code: int) -> bool:
        if code == RENEW:
            return True
        if code >= 0 and code not in AGAIN:
            return False
        now = time.monotonic()
        self._restarts.append(now)
        while self._restarts[0] < now - RESTARTS_SECONDS:
            self._restarts.popleft()
        how = signal.Signals(-code).name if code < 0 else ExitCode(code).name.lower()
        if len(self._restarts) > RESTARTS_MAX:
            log.critical("the worker ended %d times within %g s, now by %s", len(self._restarts), RESTARTS_SECONDS, how)
            return False
        log.warning("the worker ended (%s): starting it again", how)
        return True

    def _fork(self) -> None:
        parent = os.getpid()
        # Until both know who they are: a signal must reach the child, and never the parent's handler in the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)
        self._child = os.fork()
        if self._child == 0:
            for number in HANDED_ON:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDED_ON)
            os._exit(self._be_the_worker(parent))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDED_ON)

    def _be_the_worker(self, parent: int) -> int:
        """Nothing above this frame may run in the child: it is the parent's."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it ended before it could take the child with it
                return KILLED_BASE + signal.SIGKILL
        try:
            return self._work()
        except TrueliftError as error:
            sys.stderr.write(f"error: {error}\n")
            return error.exit_code
        except BaseException:  # noqa: BLE001 -- the last frame of a process: said, and turned into its exit code
            traceback.print_exc()
            return ExitCode.INTERNAL
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    def _hand_on(self, number: int, _: FrameType | None) -> None:
        self._stopping = True
        if self._child:
            os.kill(self._child, number)  # it may have ended, but until it was waited for the number is its own
