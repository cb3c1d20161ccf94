"""What the edge keeps for the broker: one record, ready to be appended. Refuses nothing."""

from typing import NamedTuple


class Record(NamedTuple):
    """topic: the contract's name. event_id: canonical; empty for a dead letter. received_us: when the edge took it."""

    topic: str
    key: bytes | None
    value: bytes
    event_id: str
    received_us: int

    @property
    def bytes(self) -> int:
        """What it takes in memory or on disk, about."""
        return RECORD_OVERHEAD_BYTES + len(self.value) + len(self.key or b"")


RECORD_OVERHEAD_BYTES = 128
