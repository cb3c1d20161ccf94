"""A small disk for each worker: a tmpfs that can be made full at once. Where none can be mounted, it says why."""

import os
import shutil
import subprocess
from pathlib import Path

from app.errors import OperatorError

# Of memory, and only what is written: the stores of a drill's users, some of them twice after a takeover.
DISK_MIB = 1024
MIB = 1 << 20


def why_not() -> str | None:
    """Why no disk can be mounted here; None when it can."""
    if shutil.which("mount") is None:
        return "there is no mount command"
    return None if os.geteuid() == 0 else "only root may mount a file system"


class Disk:
    """Mounted by `mount` at `path`. full: nothing more can be written until `free`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self) -> str | None:
        """Why it is a folder of the common disk instead; None when it is a disk of its own."""
        self.path.mkdir(parents=True, exist_ok=True)
        reason = why_not()
        if reason is None:
            done = _run("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(self.path))
            reason = None if done.returncode == 0 else f"mounting a tmpfs is not allowed here ({done.stderr.strip()})"
        return reason

    def fill(self) -> None:
        """As small as what is on it: the next block that is asked for is refused."""
        found = os.statvfs(self.path)
        self._resize((found.f_blocks - found.f_bfree) * found.f_frsize)

    def free(self) -> None:
        self._resize(DISK_MIB * MIB)

    def unmount(self) -> None:
        _run("umount", "--lazy", str(self.path))

    def _resize(self, size_bytes: int) -> None:
        done = _run("mount", "-o", f"remount,size={size_bytes}", str(self.path))
        if done.returncode != 0:
            raise OperatorError(f"the disk {self.path} cannot be resized ({done.stderr.strip()})", "Run the drill as root")


def unmount_below(folder: Path) -> None:
    """What a drill that was killed left mounted."""
    inside = f"{folder.absolute()}{os.sep}"
    for line in Path("/proc/mounts").read_text().splitlines() if Path("/proc/mounts").exists() else ():
        where = line.split()[1]
        if where.startswith(inside):
            _run("umount", "--lazy", where)


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False)
