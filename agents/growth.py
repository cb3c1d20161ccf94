"""A worker while the partition count grows: ready for the new partitions before it decides by the record that lets units move.

Owns what the topics may look like meanwhile, taking the new partition groups, and the quicker ticks that give units up.
Refuses to expand a topic; `truelift scale` does.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from app.engine.policies import Policies
from app.stream import exits
from app.stream.config import GroupCount

if TYPE_CHECKING:
    from agents.application import TrueliftApp

# A tick gives up a bounded number of units: the more often, the shorter each one's pause for the same pace.
TICK_SECONDS = 0.2


class Growth:
    """One for each worker."""

    def __init__(self, app: "TrueliftApp") -> None:
        self._app = app
        self._grown = False
        self._ticking: asyncio.Task[None] | None = None
        app.governance.before_change.append(self._prepare)
        app.governance.on_change.append(self._follow)

    def group_count(self) -> GroupCount | None:
        """What the topics must have, by the governance log; None where it has never spoken of it."""
        partitions = self._app.governance.partitions
        return None if partitions.groups is None else GroupCount(partitions.groups, partitions.target)

    async def _prepare(self) -> None:
        """The first record decided by the new count may already send a unit to a new partition."""
        wanted, room = self.group_count(), self._app.room
        if wanted is None or room is None:
            return  # a start that is still before its check of the topics asks for the count itself
        await room.started.wait()
        if room.groups < wanted.groups:
            # Faust's own producer appends the ticks, to the new partitions too.
            producer: Any = self._app.producer
            await producer._ensure_producer().client.force_metadata_update()
            await room.grow()
            self._grown = True

    def _follow(self, policies: Policies) -> None:
        room = self._app.room
        if self._grown and room is not None:
            self._grown = False
            room.join_again()
        self.tend()

    def tend(self) -> None:
        """To be called now and then: a worker may have been started while units move."""
        if self._moves() and self._ticking is None:
            self._ticking = asyncio.create_task(self._tick())

    def _moves(self) -> bool:
        topology = self._app.governance.policies.topology
        return topology is not None and topology.moving

    def _gives_up(self, partition: int) -> bool:
        topology = self._app.governance.policies.topology
        return topology is not None and topology.moving and partition < topology.previous

    async def _tick(self) -> None:
        with exits.ends_process("ticks cannot be appended"):
            while self._moves():
                await asyncio.sleep(TICK_SECONDS)
                await self._app.clock.append(self._gives_up)
            self._ticking = None
