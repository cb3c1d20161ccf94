"""The folder of an embedded broker and the broker.json in it. Refuses to take another program for its broker."""

import contextlib
import fcntl
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class BrokerRecord(NamedTuple):
    """What broker.json says of a running broker."""

    pid: int
    host: str
    port: int
    started: str

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


class BrokerFolder(NamedTuple):
    """The files of an embedded broker."""

    root: Path

    @property
    def record(self) -> Path:
        return self.root / "broker.json"

    @property
    def properties(self) -> Path:
        return self.root / "server.properties"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def log(self) -> Path:
        return self.root / "broker.log"

    @property
    def security(self) -> Path:
        """There when the broker is a secure one (broker_security.py)."""
        return self.root / "security"

    @property
    def authorizer_log(self) -> Path:
        return self.root / "authorizer.log"

    @property
    def formatted(self) -> bool:
        return (self.data / "meta.properties").exists()

    @property
    def console(self) -> Path:
        return self.root / "console.log"

    def running(self) -> BrokerRecord | None:
        """The broker that runs in this folder; none when its process is gone or the pid is another program's by now."""
        try:
            record = BrokerRecord(**json.loads(self.record.read_text()))
        except FileNotFoundError:
            return None
        return record if self.is_ours(record.pid) else None

    def is_ours(self, pid: int) -> bool:
        command = _command_line(pid)
        return "kafka.Kafka" in command and str(self.properties) in command

    def write(self, record: BrokerRecord) -> None:
        fresh = self.record.with_suffix(".new")
        fresh.write_text(json.dumps(record._asdict()))
        fresh.replace(self.record)  # readers see the old one or the new one, whole

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Two starts in one folder would write each other's files."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def folder_of(data_dir: Path) -> BrokerFolder:
    return BrokerFolder(data_dir.absolute() / "broker")


def _command_line(pid: int) -> str:
    """Empty when there is no such process."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    ps = ["ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout
