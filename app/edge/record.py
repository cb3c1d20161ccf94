"""What the edge keeps for the broker: one record, ready to be appended. Refuses nothing."""

from typing import NamedTuple


class Record(NamedTuple):
    """topic: the contract's name. event_id: canonical; empty for a dead letter. received_us: when the edge took it.

    headers: of those who wait for an answer now; the spool does not keep them, for it is too late then.
    """

    topic: str
    key: bytes | None
    value: bytes
    event_id: str
    received_us: int
    headers: tuple[tuple[str, bytes], ...] = ()
