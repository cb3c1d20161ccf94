"""POST /v1/decide under an open load: requests leave at their times, whether or not the ones before were answered.

Latency counts from the moment at which a request should have left, so that a stall is felt by all that it would have held up
(no coordinated omission). Broker, worker, edge and this client share the machine. What was answered is then looked for in the
topic of delivery records.
"""

import asyncio
import contextlib
import itertools
import os
import time
from base64 import b64encode
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from app.chaos.house import house_of
from app.chaos.policies import bodies, catalogue
from app.chaos.worker import environment
from app.contract.catalogue import WriteKey
from app.contract.times import format_us
from app.contract.topics import DECISION_DELIVERY
from app.edge.rules import PUBLIC_PREFIX, hash_of
from app.settings import Settings
from app.stream.child import Child, truelift
from app.stream.ports import kept_ports
from app.stream.reading import partitions_of, read_to_end

KEY = PUBLIC_PREFIX + "bench"
PARTITIONS = 8
RATE = 200
USERS = 2_000
CONNECTIONS_MAX = 512
WARM_UP_SECONDS = 5.0
START_SECONDS = 60.0
WANTED = {"p50_ms": 40.0, "p99_ms": 100.0}


class Result(NamedTuple):
    """Of what was asked after the warm-up. delivered: signals that have a delivery record, of all that were answered."""

    asked: int
    in_time: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    answers: dict[str, int]
    answered: int
    delivered: int


async def measure(broker: str, folder: Path, seconds: float, rate: float = RATE) -> Result:
    folder = folder / "decide"
    folder.mkdir()
    ports = kept_ports(folder / "ports.json", ["edge", "web"], {})
    settings = Settings(
        broker=broker, data_dir=folder, app_id="decide", topic_prefix="decide.", partitions=PARTITIONS,
        edge_port=ports["edge"], web_port=ports["web"],
    )  # fmt: skip
    key = WriteKey(name="bench", kind="public", sha256=hash_of(KEY), events_per_second=1_000_000)
    async with house_of(settings, bodies(), catalogue(write_keys={"bench": key})):
        pass
    worker = Child("worker", truelift("worker"), environment(settings), folder / "worker.log").start()
    edge = Child("edge", truelift("edge"), environment(settings), folder / "edge.log").start()
    load = _Load(ports["edge"])
    try:
        await load.until_served(worker, edge)
        await load.run(WARM_UP_SECONDS, rate)
        load.latencies_ms.clear()
        load.answers.clear()
        await load.run(seconds, rate)
    finally:
        load.close()
        for child in (edge, worker):  # the edge first: it keeps its last delivery records
            await child.stop()
    ordered = sorted(load.latencies_ms)
    return Result(
        len(ordered),
        load.answers["journal"],
        _at(ordered, 0.5),
        _at(ordered, 0.9),
        _at(ordered, 0.99),
        ordered[-1],
        dict(load.answers),
        len(load.event_ids),
        len(load.event_ids & await _delivered(settings)),
    )


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class _Load:
    """event_ids: of all that was answered. answers: by source, or why it was a fallback."""

    def __init__(self, port: int) -> None:
        self.latencies_ms: list[float] = []
        self.answers: Counter[str] = Counter()
        self.event_ids: set[str] = set()
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._open = 0
        self._numbers = itertools.count()
        self._run = os.urandom(4).hex()

    async def until_served(self, worker: Child, edge: Child) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.answers["journal"]:
            for child in (worker, edge):
                if not child.running or time.monotonic() > deadline:
                    raise child.failed(child.process.returncode or 0)
            with contextlib.suppress(OSError):
                await self._ask(time.perf_counter(), deadline_ms=1_000)
            await asyncio.sleep(0.05)

    async def run(self, seconds: float, rate: float) -> None:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as asking:
            for number in range(int(seconds * rate)):
                due_at = began + number / rate
                await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
                asking.create_task(self._ask(due_at))

    def close(self) -> None:
        for _, writer in self._free:
            writer.close()

    async def _ask(self, due_at: float, deadline_ms: int = 5_000) -> None:
        """The deadline is far away: what is measured is how long a committed decision takes."""
        reader, writer = self._free.pop() if self._free else await self._connection()
        event_id, request = self._request(deadline_ms)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        self.latencies_ms.append((time.perf_counter() - due_at) * 1_000)
        self._free.append((reader, writer))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the edge answered {head[:40]!r} {body[:200]!r}")
        answer: dict[str, Any] = orjson.loads(body)
        self.answers[answer["why"] or answer["source"]] += 1
        self.event_ids.add(event_id)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._open += 1
        if self._open > CONNECTIONS_MAX:
            raise RuntimeError(f"more than {CONNECTIONS_MAX} requests wait: the edge does not keep up")
        return await asyncio.open_connection("127.0.0.1", self._port)

    def _request(self, deadline_ms: int) -> tuple[str, bytes]:
        number = next(self._numbers)
        event_id = f"{self._run}-0000-4000-8000-{number:012x}"
        event = {
            "event_name": "page_view",
            "event_id": event_id,
            "user_id": f"u-{number * 7919 % USERS}",
            "session_id": "s-7",
            "ts": format_us(time.time_ns() // 1_000),
            "properties": {"title": "Onboarding"},
            "context": {"route": "/app/onboarding", "device": "web", "locale": "en-US"},
        }
        body = orjson.dumps({"event": event, "deadline_ms": deadline_ms})
        head = (
            b"POST /v1/decide HTTP/1.1\r\nHost: edge\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n"
        )
        return event_id, head % (b64encode(f"{KEY}:".encode()), len(body)) + body


async def _delivered(settings: Settings) -> set[str]:
    starts = dict.fromkeys(await partitions_of(settings, [settings.topic(DECISION_DELIVERY)]))
    return {orjson.loads(record.value)["properties"]["signal_event_id"] async for record in read_to_end(settings, starts)}
