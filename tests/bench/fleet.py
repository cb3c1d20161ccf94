"""Workers of one installation, each a process of its own with an identity, a folder and a page of its own."""

import asyncio
import http.client
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from app.chaos.worker import environment
from app.settings import Settings
from app.stream.child import Child, truelift
from app.stream.ports import kept_ports

STATUS_SECONDS = 5


class FleetWorker(Child):
    """A `truelift worker`; static with a group instance id, dynamic without one."""

    def __init__(self, name: str, settings: Settings, log: Path) -> None:
        super().__init__(name, truelift("worker", "--log-level", "info"), environment(settings), log)
        self.settings = settings
        self.started_at = 0.0

    def start(self) -> Self:
        self.started_at = time.time()
        return super().start()

    async def status(self) -> dict[str, Any]:
        """GET /status; {} when nobody answers."""
        return await asyncio.to_thread(_status, self.settings.web_port)

    async def owned(self) -> set[int]:
        """Partition groups that take records there now."""
        partitions = (await self.status()).get("partitions", {})
        return {int(number) for number, partition in partitions.items() if partition["state"] == "processing"}

    async def rebalances(self) -> int:
        """How often the worker gave up its partitions, as it counts itself."""
        return int((await self.status())["figures"]["rebalances"])


def fleet(settings: Settings, names: Iterable[str], folder: Path, *, static: bool = True) -> list[FleetWorker]:
    """Not started. Each has a data directory of its own, and the keys of the installation."""
    names = list(names)
    ports = kept_ports(folder / "web-ports.json", names, {})
    workers = []
    for name in names:
        own = {
            "group_instance_id": name if static else None,
            "web_port": ports[name],
            "data_dir": folder / name,
            "keys_dir": settings.keys(),
        }
        workers.append(FleetWorker(name, settings.model_copy(update=own), folder / f"{name}.log"))
    return workers


def _status(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STATUS_SECONDS)
    try:
        connection.request("GET", "/status")
        return dict(json.load(connection.getresponse()))  # 503 says why it is not healthy
    except (OSError, http.client.HTTPException):
        return {}
    finally:
        connection.close()
