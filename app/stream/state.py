"""The tables and outputs of one partition group, as its agents see them.

Owns: the view (epoch being filled over epoch in flight over store), what an agent writes and sends, the limits on both.
Refuses: running agents and committing; the partition task does the one, the committer the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.contract.partitions import murmur2
from app.errors import InternalError
from app.stream.config import PARTITION_CACHE_KEYS, TopicSize
from app.stream.epoch import MISSING, Epoch, Headers
from app.stream.poison import RecordTooLargeError
from tables.store import OFFSET_KEY, Store, check_key

# Header of a record batch, and the most that a record's varints take.
RECORD_OVERHEAD_BYTES = 61 + 21
HEADER_OVERHEAD_BYTES = 10


class KeyPartitions(dict[bytes, int]):
    """{key: partition} of one topic by Kafka's default partitioner, bounded. murmur2 in Python costs a microsecond."""

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self._partitions = partitions

    def __missing__(self, key: bytes) -> int:
        if len(self) >= PARTITION_CACHE_KEYS:
            self.clear()
        partition = (murmur2(key) & 0x7FFFFFFF) % self._partitions
        self[key] = partition
        return partition


class GroupState:
    """`record` is the one in hand; without one nothing can be written or sent."""

    # Read and written for every record: a slot is found faster than one name among a task's forty.
    __slots__ = (
        "_key_partitions",
        "_max_epoch_bytes",
        "_row_limits",
        "_sizes",
        "changelogs",
        "current",
        "inflight",
        "now_ms",
        "offsets_recorded",
        "partition",
        "positions",
        "record",
        "stores",
    )

    def __init__(
        self,
        partition: int,
        stores: list[Store],
        changelogs: Sequence[str],
        sizes: Mapping[str, TopicSize],
        key_partitions: Mapping[str, KeyPartitions],
        max_epoch_bytes: int,
    ) -> None:
        """changelogs: topics, in the order of `stores`."""
        self.partition = partition
        self.stores = stores
        self.changelogs = changelogs
        self.current = Epoch(len(stores))
        self.inflight: Epoch | None = None
        self.record: Any = None
        self.positions: dict[str, int] = {}
        # Whether the group has an offset of every topic. A topic that is silent from the start gets one with the first commit:
        # else it could not be told from one whose offset was lost, and each restart would read the journal for it.
        self.offsets_recorded = False
        self.now_ms = 0
        self._sizes = sizes
        self._key_partitions = key_partitions
        self._max_epoch_bytes = max_epoch_bytes
        self._row_limits = [sizes[changelog].max_record_bytes - RECORD_OVERHEAD_BYTES for changelog in changelogs]

    # -- what agents do, through the face

    def emit(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp_ms: int | None,
        headers: Headers,
    ) -> None:
        """Append an output to the epoch."""
        if self.record is None:
            raise InternalError(f"a send to {topic} outside of a record", "Send inside the agent's loop, or outside of agents")
        size = self._sizes.get(topic)
        if size is None:
            raise InternalError(f"the topic {topic} was not declared before the start", "Declare it with app.topic()")
        if partition is None:
            partition = self.partition % size.partitions if key is None else self._key_partitions[topic][key]
        elif not 0 <= partition < size.partitions:
            raise ValueError(f"{topic} has no partition {partition}: it has {size.partitions}")
        length = len(key or b"") + len(value or b"")
        if headers:
            length += sum(len(name) + len(content) + HEADER_OVERHEAD_BYTES for name, content in headers)
        if length + RECORD_OVERHEAD_BYTES > size.max_record_bytes:
            raise RecordTooLargeError(f"an output of {length} bytes for {topic}, which takes {size.max_record_bytes}")
        epoch = self.current
        epoch.outputs[topic, partition].append((key, value, timestamp_ms or self.now_ms, headers))
        epoch.bytes += length
        if epoch.bytes > self._max_epoch_bytes:
            self._cut()

    def after_commit(self, note: Any) -> None:
        """Hand `note` to the hook of that name once what the record in hand does is committed; never, if it is discarded."""
        if self.record is None:
            raise InternalError("a note was left outside of a record", "Leave it inside the agent's loop")
        self.current.after_commit.append(note)

    def read(self, table: int, key: bytes) -> bytes | None:
        """The row as this group's agents see it now."""
        value = self.current.overlays[table].get(key, MISSING)
        if value is MISSING:
            inflight = self.inflight
            if inflight is not None:
                value = inflight.overlays[table].get(key, MISSING)
            if value is MISSING:
                store = self.stores[table]
                try:
                    return store.get(key)
                except Exception as error:
                    raise store.error(error) from error
        return value  # type: ignore[no-any-return]

    def write(self, table: int, key: bytes, value: bytes | None) -> None:
        """Put a row into the epoch (None deletes it)."""
        if self.record is None:
            raise InternalError("a table was written outside of a record", "Write tables inside the agent's loop only")
        length = len(key) + len(value or b"")
        if length > self._row_limits[table]:
            changelog = self.changelogs[table]
            raise RecordTooLargeError(f"a row of {length} bytes for {changelog}, which takes {self._row_limits[table]}")
        if key == OFFSET_KEY:
            check_key(key)
        epoch = self.current
        epoch.overlays[table][key] = value
        epoch.bytes += length
        if epoch.bytes > self._max_epoch_bytes:
            self._cut()

    def scan(self, table: int, lo: bytes, hi: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with lo <= key < hi in key order, as this group's agents see them now."""
        overlay = {} if self.inflight is None else _range(self.inflight.overlays[table], lo, hi)
        overlay |= _range(self.current.overlays[table], lo, hi)
        if not overlay:
            return list(self.stores[table].scan(lo, hi, limit))
        rows = {key: value for key, value in overlay.items() if value is not None}
        found = 0
        # An overlaid row of the store does not count; `limit` others are enough whatever the overlay adds.
        for key, value in self.stores[table].scan(lo, hi):
            if key not in overlay:
                rows[key] = value
                found += 1
                if found >= limit:
                    break
        return sorted(rows.items())[:limit]

    def _cut(self) -> None:
        """The epoch is full: end the slice after the record in hand."""

    # -- commit, for commit.py

    def begin_commit(self) -> None:
        """Hand the current epoch to the committer and fill a new one, which reads through it."""
        self.inflight, self.current = self.current, Epoch(len(self.stores))

    def next_offsets(self) -> Mapping[str, int]:
        """By topic, what the commit of the epoch in flight records."""
        assert self.inflight is not None
        moved = self.inflight.next_offsets
        return moved if self.offsets_recorded else {**self.positions, **moved}

    def end_commit(self) -> None:
        """The epoch in flight has committed and the stores hold it."""
        assert self.inflight is not None
        self.positions.update(self.inflight.next_offsets)
        self.offsets_recorded = True
        self.inflight = None


def _range(overlay: dict[bytes, bytes | None], lo: bytes, hi: bytes) -> dict[bytes, bytes | None]:
    return {key: value for key, value in overlay.items() if lo <= key < hi}
