"""The demo's own installation: a folder, a broker, the topics. Refuses to touch anything that is not the demo's.

With the embedded broker everything is under <data_dir>/demo and is made anew by each run; on an existing cluster
(TRUELIFT_BROKER) each run has topics of its own by their prefix.
"""

import fcntl
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from app.contract.topics import topic_specs
from app.errors import CallerError
from app.settings import Settings
from app.stream.admin import ensure_topics
from app.stream.broker import EmbeddedBroker, stop_running
from app.stream.ports import kept_ports

MARK = "made-by-demo"
INSTANCE = "demo-worker-1"


class Installation:
    """`with Installation(base, keep=...) as there:`; keep: the broker goes on after the run."""

    def __init__(self, base: Settings, *, keep: bool) -> None:
        self.folder = base.data_dir / "demo"
        self.keep = keep
        self._base = base
        self._broker: EmbeddedBroker | None = None
        self._lock: IO[bytes] | None = None
        prefix = "" if base.broker is None else f"demo-{time.time_ns() // 1_000_000}."
        self._own = {
            "data_dir": self.folder,
            "keys_dir": self.folder / "keys",
            "topic_prefix": prefix,
            "app_id": f"{prefix}truelift",
            "root_public_key": None,
            "actor": None,
            "web_port": base.web_port,
            "group_instance_id": INSTANCE,
        }
        self.settings = base

    def __enter__(self) -> "Installation":
        self._lock = _locked(self.folder.with_suffix(".lock"))
        _clear(self.folder)
        # One that is kept for the folder, so that a worker that is started again has the same.
        self._own["web_port"] = kept_ports(self.folder / "ports.json", ("web",), {})["web"]
        self.settings = Settings(**self._own)
        if self.embedded:
            self._broker = EmbeddedBroker(self.folder, java_home=self._base.java_home, detached=self.keep).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._broker is not None and not self.keep:
            self._broker.stop()
        if self._lock is not None:
            self._lock.close()

    def environment(self) -> dict[str, str]:
        """What makes a command of another process mean this installation."""
        return {
            f"TRUELIFT_{name.upper()}": "" if value is None else str(value) for name, value in self._own.items()
        }  # an empty variable counts as none

    @property
    def embedded(self) -> bool:
        return self._base.broker is None

    def exports(self) -> dict[str, str]:
        """Beside the data folder, what a person must set to mean this installation."""
        if self.embedded:
            return {}
        return {"TRUELIFT_TOPIC_PREFIX": self.settings.topic_prefix, "TRUELIFT_APP_ID": self.settings.app_id}

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    async def create_topics(self, event_types: Iterable[str], max_record_bytes: int) -> None:
        await ensure_topics(self.settings, topic_specs(event_types, max_record_bytes))


def _locked(file: Path) -> IO[bytes]:
    """Held as long as it is open. Two demos in one folder would remove each other's data."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise CallerError(
            f"a demo is running in {file.with_suffix('')}", "Wait for its end, or set TRUELIFT_DATA_DIR for another one"
        ) from None
    return lock


def _clear(folder: Path) -> None:
    """Ends what the last demo left running, and removes its data: two runs must not mix."""
    if folder.exists() and not (folder / MARK).exists():
        raise CallerError(f"{folder} is there and no demo made it", "Move it away, or set TRUELIFT_DATA_DIR")
    if folder.exists():
        stop_running(folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
