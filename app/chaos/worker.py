"""A worker as its own process: the real command's way in, with faults planted where a drill wants them."""

import asyncio
import http.client
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from app.settings import PREFIX, Settings
from app.stream.child import Child

# JAVA_HOME is the machine's, not this installation's.
UNPREFIXED = frozenset({"java_home"})
STATUS_SECONDS = 5


def environment(settings: Settings) -> dict[str, str]:
    """The variables of a process with these settings. An empty one counts as not set, so that none of this process's own
    is inherited. PYTHONDONTWRITEBYTECODE: a restart is measured as it is in production, compiled once."""
    variables = {
        PREFIX + name.upper(): _text(getattr(settings, name)) for name in Settings.model_fields if name not in UNPREFIXED
    }
    return variables | {"PYTHONDONTWRITEBYTECODE": ""}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return "" if value is None else str(value)


class WorkerProcess(Child):
    """Started by `start`, again after a kill by another `start`; `close` ends what is left."""

    def __init__(self, settings: Settings, log: Path, **planted: Any) -> None:
        """planted: see faulty_worker.py; of every start."""
        super().__init__("worker", (), environment(settings), log)
        self.settings = settings
        self.started_at = 0.0
        self._planted = planted
        self._plan_file = log.with_suffix(".plan.json")

    @property
    def directory(self) -> Path:
        """Its own folder, with its stores."""
        return self.settings.data_dir / "workers" / self.settings.app_id / (self.settings.group_instance_id or "worker")

    def start(self, **planted: Any) -> Self:
        """planted: of this start alone."""
        assert not self.running, "it runs"
        given = self._planted | planted | {"plan_file": str(self._plan_file)}
        self.command = [sys.executable, "-m", "app.chaos.faulty_worker", json.dumps(given)]
        self.started_at = time.time()
        return super().start()

    def plan(self, **fields: Any) -> None:
        """What the running worker does from now on; fields: of FaultPlan."""
        self._plan_file.write_text(json.dumps(fields))
        self.signal(signal.SIGUSR1)

    async def status(self) -> dict[str, Any]:
        """GET /status; {} when nobody answers."""
        return await asyncio.to_thread(_status, self.settings.web_port)

    async def owned(self) -> set[int]:
        """Partition groups that take records there now."""
        partitions = (await self.status()).get("partitions", {})
        return {int(number) for number, partition in partitions.items() if partition["state"] == "processing"}

    async def rebalances(self) -> int:
        """How often the process has given up its partitions, as it counts itself."""
        return int((await self.status())["figures"]["rebalances"])

    def close(self) -> None:
        if self.running:
            self.process.kill()
            self.process.wait()


def _status(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STATUS_SECONDS)
    try:
        connection.request("GET", "/status")
        return dict(json.load(connection.getresponse()))  # 503 says why it is not healthy
    except (OSError, http.client.HTTPException):
        return {}
    finally:
        connection.close()
