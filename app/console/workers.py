"""How the workers fare, as each says on its own page: what it restores, how often and how quickly it commits.

Kafka knows who owns a partition, not what the owner does with it. Owns one question a worker, asked while somebody looks.
Refuses to guess: a worker that does not answer is said not to.
"""

import asyncio
import http.client
import json
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from app.settings import Settings

ANSWER_SECONDS = 2.0
FRESH_SECONDS = 2.0
MOST_ANSWER_BYTES = 4 << 20


class Worker(NamedTuple):
    """status None: it does not answer."""

    address: str
    status: dict[str, Any] | None


class WorkersView:
    """addresses: of the settings, else this machine's worker."""

    def __init__(self, settings: Settings) -> None:
        self._addresses = settings.worker_pages()
        self._found: list[Worker] = []
        self._at = float("-inf")
        self._turn = asyncio.Lock()

    async def fresh(self) -> list[Worker]:
        async with self._turn:
            if time.monotonic() - self._at >= FRESH_SECONDS:
                self._found = list(await asyncio.gather(*(asyncio.to_thread(_ask, address) for address in self._addresses)))
                self._at = time.monotonic()
            return self._found


def _ask(address: str) -> Worker:
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/status")
        status = json.loads(connection.getresponse().read(MOST_ANSWER_BYTES))
        return Worker(address, status if isinstance(status, dict) else None)
    except (OSError, http.client.HTTPException, ValueError):
        return Worker(address, None)
    finally:
        connection.close()
