"""The edge under load: native events in batches of 100, and one event a request, each answered only when Kafka has it; and
requests for decisions, each answered when its decision has been committed (decide.py).

One edge process, a broker and this client share the machine. The client speaks HTTP/1.1 over kept connections by hand: a client
library would cost as much as what it measures. What was acknowledged is counted again in the topic.
"""

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table

from app.chaos.house import house_of
from app.chaos.worker import environment
from app.contract.catalogue import DEFAULT_CATALOGUE, WriteKey
from app.contract.times import format_us
from app.edge.rules import PUBLIC_PREFIX, hash_of
from app.settings import Settings
from app.stream.broker import EmbeddedBroker
from app.stream.child import Child, truelift
from app.stream.ports import kept_ports
from tests.bench import decide

RESULTS = Path(__file__).parent / "results"
KEY = PUBLIC_PREFIX + "bench"
USERS = 10_000
WARM_UP_SECONDS = 2.0
START_SECONDS = 30.0
LATENCIES = ("p50_ms", "p90_ms", "p99_ms", "max_ms")


class Case(NamedTuple):
    name: str
    events_a_request: int
    connections: int
    wanted: int  # events a second


CASES = (Case("batches of 100", 100, 8, 15_000), Case("single events", 1, 64, 1_500))


class Result(NamedTuple):
    """latencies of requests. cpu_us: of the edge, for each event; neighbours on the machine do not change it much.

    acknowledged: events answered with 200; found: events in the topic.
    """

    events_a_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    acknowledged: int
    found: int


def main(arguments: list[str]) -> None:
    """Exits 1 when a topic has other than what was answered; the rates are for the reader to judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench edge")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each case, after a warm-up")
    parser.add_argument("--only", choices=("collect", "decide"), help="one half of it; default: both")
    parser.add_argument("--rate", type=float, default=decide.RATE, help="requests for decisions a second")
    wanted = parser.parse_args(arguments)
    failures = []
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder)) as broker:
        if wanted.only != "decide":
            failures += collect(broker.address, Path(folder), wanted.seconds)
        if wanted.only != "collect":
            failures += decisions(broker.address, Path(folder), wanted.seconds, wanted.rate)
    if failures:
        sys.exit("; ".join(failures))


def decisions(broker: str, folder: Path, seconds: float, rate: float) -> list[str]:
    """What is wrong with what was served."""
    result = uvloop.run(decide.measure(broker, folder, seconds, rate))
    table = Table(
        "case", "asked", "in time", "p50 ms", "p90 ms", "p99 ms", "max ms", "answered", "with a delivery record",
        title=f"Decisions end to end, open load of {rate:g}/s, {decide.PARTITIONS} partitions",
    )  # fmt: skip
    table.add_row(
        "POST /v1/decide", f"{result.asked:,}", f"{result.in_time:,}", f"{result.p50_ms:.1f}", f"{result.p90_ms:.1f}",
        f"{result.p99_ms:.1f}", f"{result.max_ms:.1f}", f"{result.answered:,}", f"{result.delivered:,}",
    )  # fmt: skip
    table.add_row("wanted", "", "", *(f"{decide.WANTED[name]:g}" if name in decide.WANTED else "" for name in LATENCIES))
    Console().print(table)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "decide.json").write_bytes(orjson.dumps(result._asdict(), option=orjson.OPT_INDENT_2))
    return [] if result.answered == result.delivered else ["an answer has no delivery record"]


def collect(broker: str, folder: Path, seconds: float) -> list[str]:
    """What is wrong with what was acknowledged."""
    table = Table(
        "case", "events/s", "wanted/s", "p50 ms", "p99 ms", "edge CPU us/event", "acknowledged", "in the topic",
        title="One edge process, durable acknowledgement",
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for case in CASES:
        result = uvloop.run(measure(broker, folder, case, seconds))
        table.add_row(
            case.name, f"{result.events_a_second:,.0f}", f"{case.wanted:,}", f"{result.p50_ms:.1f}", f"{result.p99_ms:.1f}",
            f"{result.cpu_us:.0f}", f"{result.acknowledged:,}", f"{result.found:,}",
        )  # fmt: skip
        rows.append(case._asdict() | result._asdict())
    Console().print(table)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "edge.json").write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    wrong = any(row["acknowledged"] != row["found"] for row in rows)
    return ["the topic has other than what was acknowledged"] if wrong else []


async def measure(broker: str, folder: Path, case: Case, seconds: float = 10.0) -> Result:
    name = f"edge-{case.events_a_request}"
    port = kept_ports(folder / f"{name}.ports.json", ["edge"], {})["edge"]
    settings = Settings(
        broker=broker, data_dir=folder / name, app_id=name, topic_prefix=f"{name}.", partitions=8, edge_port=port
    )
    key = WriteKey(name="bench", kind="server", sha256=hash_of(KEY), events_per_second=1_000_000)
    async with house_of(settings, [], DEFAULT_CATALOGUE.model_copy(update={"write_keys": {"bench": key}})):
        pass
    edge = Child("edge", truelift("edge"), environment(settings), folder / f"{name}.log").start()
    try:
        await _listening(port, edge)
        load = _Load(case)
        await load.run(port, WARM_UP_SECONDS)
        warm = load.acknowledged
        load.latencies_ms.clear()
        began, cpu_seconds = time.perf_counter(), _cpu_seconds(edge.process.pid)
        await load.run(port, seconds)
        took, cpu_seconds = time.perf_counter() - began, _cpu_seconds(edge.process.pid) - cpu_seconds
        found = await _in_topic(settings)
    finally:
        await edge.stop()
    latencies = sorted(load.latencies_ms)
    return Result(
        (load.acknowledged - warm) / took,
        cpu_seconds / (load.acknowledged - warm) * 1e6,
        latencies[len(latencies) // 2],
        latencies[len(latencies) * 99 // 100],
        load.acknowledged,
        found,
    )


class _Load:
    """Each connection sends its next request when the last one is answered."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.acknowledged = 0
        self.latencies_ms: list[float] = []
        self._requests = self._made()

    async def run(self, port: int, seconds: float) -> None:
        deadline = time.perf_counter() + seconds
        await asyncio.gather(*(self._connection(port, deadline) for _ in range(self._case.connections)))

    async def _connection(self, port: int, deadline: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while time.perf_counter() < deadline:
                request = next(self._requests)
                began = time.perf_counter()
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
                body = await reader.readexactly(length)
                if not head.startswith(b"HTTP/1.1 200") or orjson.loads(body)["rejected"]:
                    raise RuntimeError(f"the edge answered {head[:40]!r} {body[:200]!r}")
                self.latencies_ms.append((time.perf_counter() - began) * 1_000)
                self.acknowledged += self._case.events_a_request
        finally:
            writer.close()

    def _made(self) -> Iterator[bytes]:
        credentials = b64encode(f"{KEY}:".encode())
        run = os.urandom(4).hex()
        ts = format_us(time.time_ns() // 1_000).encode()
        event = (
            b'{"event_name":"page_view","event_id":"%s-0000-4000-8000-%012x","user_id":"u-%d","anonymous_id":"a-%d",'
            b'"session_id":"s-7","ts":"%s","properties":{"title":"Onboarding","position":3},'
            b'"context":{"route":"/app/onboarding","device":"web","locale":"en-US"}}'
        )
        many = self._case.events_a_request
        for number in itertools.count(step=many):
            users = (n * 7919 % USERS for n in range(number, number + many))
            events = b",".join(event % (run.encode(), number + i, user, user, ts) for i, user in enumerate(users))
            body = events if many == 1 else b"[%s]" % events
            yield (
                b"POST /v1/events HTTP/1.1\r\nHost: edge\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (credentials, len(body), body)
            )


async def _listening(port: int, edge: Child) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if not edge.running or time.monotonic() > deadline:
                raise edge.failed(edge.process.returncode or 0) from None
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _in_topic(settings: Settings) -> int:
    """No transactions go there and every event id is new: offsets count."""
    async with AIOKafkaConsumer(**settings.kafka()) as consumer:
        places = [TopicPartition(settings.topic("events.page_view"), number) for number in range(settings.partitions)]
        return sum((await consumer.end_offsets(places)).values())
