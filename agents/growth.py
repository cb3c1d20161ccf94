"""A worker while the partition count grows: it takes the new partition groups when governance says that units move to them.

Owns noticing, and what the topics may look like meanwhile. Refuses to expand a topic; `truelift scale` does.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from app.stream import exits
from app.stream.config import GroupCount

if TYPE_CHECKING:
    from agents.application import TrueliftApp


class Growth:
    """One for each worker."""

    def __init__(self, app: "TrueliftApp") -> None:
        self._app = app
        self._growing: asyncio.Task[None] | None = None

    def group_count(self) -> GroupCount | None:
        """What the topics must have, by the governance log; None where it has never spoken of it."""
        partitions = self._app.governance.partitions
        return None if partitions.groups is None else GroupCount(partitions.groups, partitions.target)

    def gives_up(self, partition: int) -> bool:
        """Whether units move away from that partition now."""
        topology = self._app.governance.policies.topology
        return topology is not None and topology.moving and partition < topology.previous

    def look(self) -> None:
        """To be called again and again: governance may have spoken while this worker was not yet ready to act on it."""
        if self._growing is None and self._is_behind():
            self._growing = asyncio.create_task(self._grow())

    def _is_behind(self) -> bool:
        count, room = self.group_count(), self._app.room
        return count is not None and room is not None and room.ready.is_set() and room.groups < count.groups

    async def _grow(self) -> None:
        with exits.ends_process("the new partitions cannot be taken"):
            while self._is_behind():
                room = self._app.room
                assert room is not None
                # Faust's own producer appends the ticks, to the new partitions too.
                producer: Any = self._app.producer
                await producer._ensure_producer().client.force_metadata_update()
                await room.grow()
            self._growing = None
