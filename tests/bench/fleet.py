"""Workers of one installation, each a process of its own with an identity, a folder and a page of its own."""

from collections.abc import Sequence
from pathlib import Path

from app.chaos.worker import WorkerProcess
from app.settings import Settings
from app.stream.ports import kept_ports


def fleet(settings: Settings, names: Sequence[str], folder: Path) -> list[WorkerProcess]:
    """Static members, not started. Each has a data directory of its own, and the keys of the installation."""
    ports = kept_ports(folder / "web-ports.json", names, {})
    workers = []
    for name in names:
        own = {
            "group_instance_id": name,
            "web_port": ports[name],
            "data_dir": folder / name,
            "keys_dir": settings.keys(),
        }
        workers.append(WorkerProcess(settings.model_copy(update=own), folder / f"{name}.log"))
    return workers
