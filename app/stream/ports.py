"""Free ports on the loopback interface, kept across restarts. Refuses the ephemeral range: clients pass through it."""

import json
import random
import socket
from collections.abc import Iterable
from pathlib import Path

from app.errors import OperatorError

HOST = "127.0.0.1"
# Below Linux's and IANA's ephemeral ranges: no outgoing connection takes such a port between choosing and binding,
# nor between a stop and the next start.
CANDIDATES = range(20_000, 30_000)


def kept_ports(file: Path, names: Iterable[str], wanted: dict[str, int]) -> dict[str, int]:
    """A port for each name: the wanted one, else the one kept in `file` from the last time, else a free one."""
    kept = json.loads(file.read_text()) if file.exists() else {}
    ports: dict[str, int] = {}
    for name in names:
        ports[name] = wanted.get(name) or kept.get(name) or _free_port({*ports.values(), *kept.values(), *wanted.values()})
    file.write_text(json.dumps(kept | ports))
    return ports


def require_free(port: int, option: str, host: str = HOST) -> None:
    if not is_free(port, host):
        raise OperatorError(
            f"port {port} on {host} is in use", f"Stop the program that listens there, or choose another: {option}"
        )


def is_free(port: int, host: str = HOST) -> bool:
    with socket.socket() as probe:
        # As the broker binds: a port whose last connections are in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _free_port(taken: set[int]) -> int:
    for port in random.SystemRandom().sample(CANDIDATES, k=200):
        if port not in taken and is_free(port):
            return port
    raise OperatorError(
        f"no free port among {CANDIDATES.start} to {CANDIDATES.stop - 1}",
        "Choose one: `truelift broker start --port N`",
    )
