"""The job that every peer does: two input topics, one keyed changelog-backed counter, one output, exactly once.

An event is {"event_id", "user", "ts"}; it adds one to its user's count and goes out with "count" added. Which event is of which
user, and in which topic, follows from its number alone, so that load and judge agree without telling each other.
"""

from typing import Any, NamedTuple

from aiokafka.partitioner import murmur2

SESSION_TIMEOUT_SECONDS = 6.0
# Knuth's multiplicative hash: users come in no order, each about equally often.
_SCATTER = 2_654_435_761


class Job(NamedTuple):
    """What a peer's program is told. tuning: the peer's own settings for this column."""

    broker: str
    app_id: str
    first: str
    second: str
    out: str
    data_dir: str
    partitions: int
    instance_id: str | None
    tuning: dict[str, Any]

    def argument(self) -> dict[str, Any]:
        named = {key: value for key, value in self._asdict().items() if key != "tuning"}
        return {"session_timeout_seconds": SESSION_TIMEOUT_SECONDS, **named, **self.tuning}


def user_of(number: int, keys: int) -> int:
    return (number * _SCATTER & 0xFFFFFFFF) % keys


def topic_of(number: int) -> int:
    """0: the first topic, 1: the second. Both have events of every user."""
    return number // 7 & 1


def partitions_of(keys: int, partitions: int) -> list[int]:
    """[partition of user 0, of user 1, ..], by Kafka's default partitioner."""
    return [(murmur2(b"u%d" % user) & 0x7FFFFFFF) % partitions for user in range(keys)]


def event(number: int, user: int, ts_us: int) -> bytes:
    return b'{"event_id":%d,"user":"u%d","ts":%d}' % (number, user, ts_us)
