"""A peer's processes: started, sampled, stopped, killed.

CPU and memory are the kernel's figures of the worker processes alone (/proc), never of the broker, the load or the judge.
"""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from app.stream.owned_process import popen_owned

STOP_SECONDS = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """cpu_seconds: user and system; rss_mb: resident now; peak_mb: the most there was. Summed over the processes."""

    cpu_seconds: float
    rss_mb: float
    peak_mb: float


class Workers:
    """The processes of one cell, each with a log of its own. They end with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._running: list[subprocess.Popen[bytes]] = []
        self._started = 0

    def start(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._started += 1
        with (self.folder / f"worker-{self._started}.log").open("wb") as log:
            self._running.append(popen_owned(command, log.fileno(), environment))

    def usage(self) -> Usage:
        each = [usage_of(process.pid) for process in self._running]
        return Usage(*(sum(figures) for figures in zip(*each, strict=True)))

    def check(self) -> None:
        """RuntimeError when one of them has ended by itself."""
        for process in self._running:
            if process.poll() is not None:
                raise RuntimeError(f"a worker ended with exit code {process.returncode}:\n{self._said()}")

    def kill(self) -> None:
        """SIGKILL to all, and wait until they are gone."""
        for process in self._running:
            process.kill()
            process.wait()
        self._running.clear()

    def stop(self) -> None:
        """SIGTERM; SIGKILL for what does not end by it."""
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _said(self) -> str:
        return (self.folder / f"worker-{self._started}.log").read_text(errors="replace")[-2000:]


def usage_of(pid: int) -> Usage:
    """Of a process, all its threads together."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    sizes = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Vm"))
    seconds = (int(after_name[11]) + int(after_name[12])) / _TICKS
    return Usage(seconds, int(sizes["VmRSS"].split()[0]) / 1024, int(sizes["VmHWM"].split()[0]) / 1024)
