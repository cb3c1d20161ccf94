"""The group consumer: aiokafka's, handing out its C records as they are.

Owns: the client's settings and raw records. Refuses: automatic commits, and any offset reset: every position is set by
assignment.py, and an offset that the broker no longer has is an error, never a silent jump.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchResult

from app.stream.config import (
    FETCH_BYTES,
    FETCH_WAIT_MS,
    HEARTBEAT_MAX_SECONDS,
    HEARTBEATS_PER_SESSION,
    NO_POLL_INTERVAL_MS,
    PARTITION_FETCH_BYTES,
    PREFETCH_WAIT_SECONDS,
    WorkerConfig,
)


def group_consumer(config: WorkerConfig, assignor: Any) -> AIOKafkaConsumer:
    session_ms = int(config.session_timeout_seconds * 1000)
    return AIOKafkaConsumer(
        **config.kafka,
        group_id=config.app_id,
        group_instance_id=config.group_instance_id,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=min(session_ms // HEARTBEATS_PER_SESSION, int(HEARTBEAT_MAX_SECONDS * 1000)),
        rebalance_timeout_ms=int(config.rebalance_timeout_seconds * 1000),
        partition_assignment_strategy=[assignor],
        max_poll_records=config.fetch_records,
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        # A worker that restores, or waits for a commit, fetches nothing for a while and must not be taken for dead: that is
        # what the heartbeat is for.
        max_poll_interval_ms=NO_POLL_INTERVAL_MS,
        check_crcs=config.check_crcs,
    )


def leave_for_good(consumer: AIOKafkaConsumer) -> None:
    """From now on its stop also gives up a static member's place, so that nobody waits for its session to end (KIP-1092).

    aiokafka tells the coordinator that it leaves unless it has an instance id.
    """
    consumer._coordinator._group_instance_id = None


def use_raw_records(consumer: AIOKafkaConsumer, arrived: Callable[[], None]) -> None:
    """From now on `getmany` gives the C records (offset, timestamp, key, value, headers); a copy costs 1 microsecond each.

    `arrived` is called when something was fetched, records or an error. For a started consumer that has not subscribed yet.
    """
    consumer._fetcher._records = _RawResults(arrived)
    consumer._fetcher._prefetch_backoff = PREFETCH_WAIT_SECONDS


class _RawResults(OrderedDict[TopicPartition, Any]):
    """The fetcher's results. Each is told, as it comes in, to leave its records alone."""

    def __init__(self, arrived: Callable[[], None]) -> None:
        super().__init__()
        self._arrived = arrived

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        if type(result) is FetchResult:
            result._partition_records._consumer_record = _same
        super().__setitem__(tp, result)
        self._arrived()


def _same(tp: TopicPartition, record: Any) -> Any:
    return record
