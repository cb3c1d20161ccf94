"""A real `truelift edge` as a child process, and what is in its topics."""

import http.client
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson

from app.chaos.house import house_of
from app.chaos.worker import environment
from app.contract.catalogue import DEFAULT_CATALOGUE, Catalogue, WriteKey
from app.contract.times import format_us
from app.edge.rules import hash_of
from app.settings import Settings
from app.stream.child import Child, truelift
from app.stream.reading import partitions_of, read_to_end

PUBLIC_KEY = "tlp_of-the-tests"
CAREFUL_KEY = "tlp_that-asks-for-user-tokens"
SERVER_KEY = "tls_of-the-tests"
SLOW_KEY = "tlp_ten-a-second"
START_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.02


def write_key(key: str, **more: Any) -> WriteKey:
    return WriteKey(name="tests", kind="server" if key.startswith("tls_") else "public", sha256=hash_of(key), **more)


def catalogue(**changes: Any) -> Catalogue:
    keys = {"public": write_key(PUBLIC_KEY), "server": write_key(SERVER_KEY), "slow": write_key(SLOW_KEY, events_per_second=10)}
    return Catalogue.model_validate(DEFAULT_CATALOGUE.model_dump() | {"write_keys": keys} | changes)


async def install(settings: Settings, with_catalogue: Catalogue | None = None) -> None:
    """Topics, root key, and the catalogue in the governance log; no policy."""
    async with house_of(settings, [], with_catalogue or catalogue()):
        pass


class Stored(NamedTuple):
    """One record of a topic, by the contract's name."""

    topic: str
    partition: int
    offset: int
    key: str | None
    value: dict[str, Any]


async def stored(settings: Settings, *topics: str) -> list[Stored]:
    """Everything that is in them, in order within a partition."""
    starts = dict.fromkeys(await partitions_of(settings, [settings.topic(topic) for topic in topics]))
    return [
        Stored(
            settings.topic_base(record.topic),
            record.partition,
            record.offset,
            None if record.key is None else record.key.decode(errors="replace"),
            orjson.loads(record.value),
        )
        async for record in read_to_end(settings, starts)
    ]


class EdgeProcess(Child):
    """`start` returns when it takes requests."""

    def __init__(self, settings: Settings, log: Path) -> None:
        super().__init__("edge", truelift("edge"), environment(settings), log)
        self.settings = settings

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.edge_port}"

    def start(self) -> Self:
        super().start()
        self.wait_for(lambda status: bool(status))
        return self

    def status(self) -> dict[str, Any]:
        """GET /status; {} when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.edge_port, timeout=10)
        try:
            connection.request("GET", "/status")
            return dict(json.load(connection.getresponse()))
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()

    def wait_for(self, reached: Any, seconds: float = START_SECONDS) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not reached(status := self.status()):
            assert self.running, self.log
            assert time.monotonic() < deadline, (status, self.log)
            time.sleep(LOOK_AGAIN_SECONDS)
        return status

    def wait_until_direct(self, seconds: float = START_SECONDS) -> Mapping[str, Any]:
        return self.wait_for(lambda status: status.get("kafka") == "direct", seconds)

    def close(self) -> None:
        if self.running:
            self.process.kill()
            self.process.wait()


def envelope(event_id: str, user: str = "u-1", **more: Any) -> dict[str, Any]:
    ts = format_us(time.time_ns() // 1_000)
    return {"event_name": "page_view", "event_id": event_id, "user_id": user, "ts": ts, "properties": {}} | more
