"""What a worker is told: names, addresses, deadlines, bounds. Plain values, so that a test can build one.

Owns: the defaults that held up in measurement, each with its reason. Refuses: the environment (app/settings reads that).
"""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from app.settings import Settings
from app.stream.faults import FaultPlan

if TYPE_CHECKING:
    from app.stream.feeds import Feed
    from app.stream.task import PartitionTask

# Bounds for the worker as a whole, over all its partition groups. Past them fetching pauses until a commit has made room.
MAX_EPOCH_RECORDS = 16_000
MAX_EPOCH_BYTES = 16 << 20
# Fetched but not yet begun. For one partition of a topic: twice FETCH_RECORDS. For the worker as a whole: MAX_BACKLOG_BYTES;
# past that only a topic that has nothing here is fetched, since the others may have to wait for its records (order.py).
QUEUED_FETCHES = 2
FETCH_RECORDS = 1000
MAX_BACKLOG_BYTES = 32 << 20
# Fetched and not yet decoded, for one partition of a topic; a larger batch comes alone.
PARTITION_FETCH_BYTES = 256 << 10
# One answer of one broker, for all partitions together (aiokafka's default is 50 MiB): what a worker that is far behind holds
# fetched and undecoded.
FETCH_BYTES = 8 << 20
FETCH_WAIT_MS = 100
# aiokafka asks a broker for nothing while one of its partitions has records that nobody took, but no longer than this
# (its default is 100 ms): a full group must not hold up the others.
PREFETCH_WAIT_SECONDS = 0.01
# The largest record that the producer sends; each topic's own max.message.bytes narrows it.
MAX_REQUEST_BYTES = 4 << 20
# A produce batch, as large as a broker takes by default (1 MiB with its overhead).
BATCH_BYTES = 900_000
# Of keys per output topic whose partition is remembered (murmur2 in Python costs microseconds).
PARTITION_CACHE_KEYS = 100_000
# Tombstones stay in a changelog this long; a store that slept longer may have missed one and is rebuilt.
TOMBSTONE_DAYS = 7

HEARTBEATS_PER_SESSION = 6
# When a worker joins or leaves, the others learn it from their next heartbeat, and all stand still until the last one has.
HEARTBEAT_MAX_SECONDS = 0.5
NO_POLL_INTERVAL_MS = 86_400_000


@dataclass(frozen=True)
class StreamSettings:
    """kafka: keyword arguments of every aiokafka client. data_dir: stores and ids of the workers of this machine."""

    kafka: Mapping[str, Any]
    data_dir: Path
    group_instance_id: str | None = None
    replication_factor: int = 1
    commit_interval_ms: int = 5
    session_timeout_seconds: float = 6.0
    rebalance_timeout_seconds: float = 15.0
    drain_timeout_seconds: float = 10.0
    poison_limit: int = 10
    poison_window_seconds: float = 60.0
    max_request_bytes: int = MAX_REQUEST_BYTES
    max_epoch_records: int = MAX_EPOCH_RECORDS
    max_epoch_bytes: int = MAX_EPOCH_BYTES
    fetch_records: int = FETCH_RECORDS
    check_crcs: bool = True
    web_bind: str = "127.0.0.1"
    web_port: int = 6066
    faults: FaultPlan = field(default_factory=FaultPlan)

    @classmethod
    def of(cls, settings: Settings, **changes: Any) -> "StreamSettings":
        """The part of the process's settings that the engine room needs."""
        same = {item.name: getattr(settings, item.name) for item in fields(cls) if hasattr(settings, item.name)}
        return cls(**same | {"kafka": settings.kafka()} | changes)


@dataclass(frozen=True)
class WorkerConfig(StreamSettings):
    """The settings of one app's worker. app_id: consumer group, prefix of transactional ids and changelogs."""

    app_id: str = ""

    @property
    def transaction_timeout_ms(self) -> int:
        """Near the session timeout: what a dead worker left open must not block its successor for longer than its absence."""
        return int(self.session_timeout_seconds * 1000)

    def changelog(self, table: str) -> str:
        return changelog_of(self.app_id, table)


def changelog_of(app_id: str, table: str) -> str:
    return f"{app_id}-{table}-changelog"


def transactional_prefix(app_id: str) -> str:
    """Of the transactional ids of an app's workers: each may fence a dead one of the same app, and no other's."""
    return f"{app_id}-"


class AgentSpec(NamedTuple):
    """start(task) makes the agent's coroutine for one partition group, and the feed it reads from."""

    name: str
    topic: str
    start: "Callable[[PartitionTask], tuple[Feed, Coroutine[Any, None, Any]]]"


class TopicSize(NamedTuple):
    """What must be known of a topic before the first record is written to it."""

    partitions: int
    max_record_bytes: int


class Hooks(NamedTuple):
    """What the app is asked.

    on_poison(topic, partition, record, error): sync or async, in place of the agent, inside the epoch. None: any error of an
        agent ends the process, since the record could not be accounted for.
    before_assigned(partitions): once their former owner can commit nothing any more, beside the restore. Records wait for it.
    recover_offsets(partition): {topic: next offset} from the journal, asked when committed offsets are missing; {} when there
        is no journal.
    assignment_changed(phase, partitions): phase "revoked" | "assigned" | "ready", for the face's own bookkeeping.
    committed({(topic, partition): next offset}, seconds): after each commit.
    after_commit(notes): what agents left for it in the records of a transaction that has committed, if anything.
    """

    on_poison: Callable[[str, int, Any, Exception], Awaitable[None] | None] | None = None
    before_assigned: Callable[[set[int]], Awaitable[None]] | None = None
    recover_offsets: Callable[[int], Awaitable[Mapping[str, int]]] | None = None
    assignment_changed: Callable[[str, Collection[int]], None] | None = None
    committed: Callable[[Mapping[tuple[str, int], int], float], None] | None = None
    after_commit: Callable[[list[Any]], None] | None = None


class GroupCount(NamedTuple):
    """groups: that the workers share. target: how many partitions a topic may have already, while all are being expanded."""

    groups: int
    target: int | None = None


def _as_topics_have() -> GroupCount | None:
    return None


class Topology(NamedTuple):
    """agents; tables by name, in the order of their index; outputs: {topic: declared partition count or None}.

    copartitioned: outputs that are written in the input's own partition, and so need as many as the inputs have.
    group_count: asked whenever the topics are checked; None: as many as the inputs have, all alike.
    """

    agents: Sequence[AgentSpec]
    tables: Sequence[str]
    outputs: Mapping[str, int | None]
    assignor: Any
    copartitioned: Collection[str] = ()
    group_count: Callable[[], GroupCount | None] = _as_topics_have
