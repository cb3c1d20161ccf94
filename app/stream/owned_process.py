"""Child processes that outlive their starter (detached) or never do (owned). Refuses to leave an owned child behind.

Owned: on Linux the kernel ends the child with its owner, even one that got SIGKILL; elsewhere only stop() does.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from queue import SimpleQueue

STOP_DEADLINE_SECONDS = 20.0
_LINUX = sys.platform == "linux"

# The kernel is to kill the broker when its owner dies (prctl PR_SET_PDEATHSIG = 1; it survives execve). Set by a shim
# between fork and exec, which also notices an owner that died before the prctl.
_DIE_WITH_OWNER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]): os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def popen_detached(
    command: list[str], console: int, more: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C at a terminal must not end the child before its starter has drained.

    more: variables beside those of this process's environment. stdin: subprocess.PIPE to write to the child.
    """
    environment = {**os.environ, **(more or {})}
    return subprocess.Popen(command, stdin=stdin, stdout=console, stderr=console, env=environment, start_new_session=True)


def popen_owned(
    command: list[str], console: int, more: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Starts the child from a thread that lives as long as the child does. more, stdin: as for popen_detached.

    PR_SET_PDEATHSIG fires when the *thread* that made the child ends (prctl(2)): a pool that closes its worker thread
    would take the child with it.
    """
    shim = [sys.executable, "-S", "-c", _DIE_WITH_OWNER, str(os.getpid()), *command] if _LINUX else command
    made: SimpleQueue[subprocess.Popen[bytes] | OSError] = SimpleQueue()

    def keep() -> None:
        try:
            process = popen_detached(shim, console, more, stdin)
        except OSError as error:
            made.put(error)
            return
        made.put(process)
        process.wait()

    threading.Thread(target=keep, name="child-keeper", daemon=True).start()
    outcome = made.get()
    if isinstance(outcome, OSError):
        raise outcome
    return outcome


def end(process: subprocess.Popen[bytes]) -> None:
    """Asks, then kills after STOP_DEADLINE_SECONDS. Safe to call for a process that has ended."""
    process.terminate()
    try:
        process.wait(STOP_DEADLINE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
