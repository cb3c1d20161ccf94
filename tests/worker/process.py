"""A worker as its own process: the real command's way in, with a fault plan where a test wants one."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from app.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
ENTRY = Path(__file__).with_name("faulty_worker.py")
FAULTS = "WORKER_TEST_FAULTS"
# Of a setting that a worker process gets; the rest has its default in both.
PASSED = (
    "broker", "governance_broker", "data_dir", "keys_dir", "root_public_key",
    "app_id", "topic_prefix", "partitions", "group_instance_id",
    "session_timeout_seconds", "commit_interval_ms", "drain_timeout_seconds", "broker_wait_seconds", "web_port",
)  # fmt: skip


def environment(settings: Settings) -> dict[str, str]:
    """The variables of a process with these settings, and none of this process's own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    own.pop("PYTHONDONTWRITEBYTECODE", None)  # a restart is measured as it is in production: compiled once
    passed = {name: getattr(settings, name) for name in PASSED if getattr(settings, name) is not None}
    return own | {PREFIX + name.upper(): str(value) for name, value in passed.items()}


class WorkerProcess:
    """Started by `start`, again after a kill by another `start`; `close` ends what is left."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        self.log_file = log
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    @property
    def directory(self) -> Path:
        """Its own folder, with its stores."""
        return self.settings.data_dir / "workers" / self.settings.app_id / (self.settings.group_instance_id or "worker")

    def start(self, **faults: Any) -> "WorkerProcess":
        """faults: see faulty_worker.py."""
        assert self.process is None or self.process.poll() is not None, "it runs"
        environ = environment(self.settings) | {FAULTS: json.dumps(faults), "PYTHONPATH": str(ROOT)}
        self.started_at = time.time()
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, str(ENTRY)], env=environ, cwd=ROOT, stdout=log, stderr=log)
        return self

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL, and gone when this returns."""
        self.signal(signal.SIGKILL)
        await self.ended(10)

    async def stop(self, seconds: float = 20) -> int:
        """SIGTERM: the exit code after the drain."""
        self.signal(signal.SIGTERM)
        return await self.ended(seconds)

    async def ended(self, seconds: float = 30) -> int:
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, seconds)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    async def status(self) -> dict[str, Any]:
        """GET /status; {} when nobody answers."""
        return await asyncio.to_thread(_status, self.settings.web_port)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _status(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/status")
        return dict(json.load(connection.getresponse()))  # 503 says why it is not healthy
    except (OSError, http.client.HTTPException):
        return {}
    finally:
        connection.close()
