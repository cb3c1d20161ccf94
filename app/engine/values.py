"""What goes into the engine and what comes out of it: plain frozen values."""

from typing import NamedTuple, Protocol

ELIGIBILITY = "eligibility"
ASSIGNMENTS = "assignments"
SEEN = "seen"
TIMERS = "timers"
TABLES = (ELIGIBILITY, ASSIGNMENTS, SEEN, TIMERS)
NOBODY = -1


class Via(NamedTuple):
    """The link that brought a record here from another partition group; partition, offset, appended_us: of the link.

    sender: the group that sent it because its unit lives elsewhere; NOBODY when another unit of the same person sent it.
    asked: the group that waits for it to come back, if any.
    """

    partition: int
    offset: int
    appended_us: int
    sender: int
    asked: int | None

    @property
    def linked(self) -> bool:
        """Sent by another unit of the same person."""
        return self.sender == NOBODY


class InputRecord(NamedTuple):
    """One consumed record. `appended_us` is the broker's append time, of millisecond resolution.

    via: None for one that was appended here; else the other fields say where and when it was appended first.
    """

    topic: str
    partition: int
    offset: int
    appended_us: int
    key: bytes | None
    value: bytes
    via: Via | None = None

    @property
    def group(self) -> int:
        """The partition group that consumes it now."""
        return self.partition if self.via is None else self.via.partition


class Moment(NamedTuple):
    """What depends on the instant of the decision; the journal records it, replay reads it back.

    partitions: of an input topic, while governance has never spoken of it (Policies.topology): where links are addressed to.
    """

    now_us: int
    governance_stale: bool = False
    partitions: int = 1


class Write(NamedTuple):
    """A row to store; value None deletes it."""

    table: str
    key: bytes
    value: bytes | None


class Output(NamedTuple):
    """A record to append to `topic`; partition None: the one in which the input was consumed."""

    topic: str
    key: bytes | None
    value: bytes
    partition: int | None = None


class Step(NamedTuple):
    """All effects of one input (or of one timer that fired): outputs, the journal record first, and row writes."""

    outputs: tuple[Output, ...]
    writes: tuple[Write, ...]


class Rows(Protocol):
    """One table of one partition group, as the engine reads it. Keys sort as bytes."""

    def get_bytes(self, key: bytes) -> bytes | None: ...

    def scan(self, lo: bytes, hi: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with lo <= key < hi, in key order."""
        ...


class State(Protocol):
    """The tables of one partition group before the record."""

    @property
    def eligibility(self) -> Rows: ...

    @property
    def assignments(self) -> Rows: ...

    @property
    def seen(self) -> Rows: ...

    @property
    def timers(self) -> Rows: ...
