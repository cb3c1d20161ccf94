"""How far the journal is: by which moment each partition has decided, by which governance record, and which inputs it has.

Owns the conditions that recovery is awaited on. Refuses to sleep.
"""

import time
from collections import Counter
from collections.abc import Collection, Mapping

from app.chaos.journal import Entry, Input, JournalReader
from app.contract.topics import TICKS


class Progress:
    """decided_at: of each partition's newest record; governance_offset: by which it was decided."""

    def __init__(self, journal: JournalReader, partitions: int) -> None:
        self.decided_at = [0.0] * partitions
        self.governance_offset = [-1] * partitions
        self.poisoned: set[Input] = set()
        self.journal = journal
        self._next_offset: Counter[tuple[str, int]] = Counter()
        journal.each(self._take)

    async def since(self, moment: float, seconds: float) -> float:
        """When the last partition showed a record that was decided after `moment`; both in time.time()."""
        arrived: dict[int, float] = {}

        def note(entry: Entry) -> None:
            if entry.partition not in arrived and entry.decided_at > moment:
                arrived[entry.partition] = entry.arrived_at

        self.journal.each(note)
        try:
            partitions = len(self.decided_at)
            await self.journal.until(lambda: len(arrived) == partitions, seconds, "a new record in every partition")
        finally:
            self.journal.no_longer(note)
        return max(arrived.values())

    async def by(self, governance_offset: int, seconds: float) -> float:
        """When every partition decides by that governance record, or a later one."""
        wanted = governance_offset
        await self.journal.until(
            lambda: min(self.governance_offset) >= wanted, seconds, f"a record decided by governance {wanted} everywhere"
        )
        return time.time()

    async def set_aside(self, poison: Collection[Input], seconds: float) -> float:
        """When each of `poison` is journalled as what it is."""
        await self.journal.until(lambda: self.poisoned.issuperset(poison), seconds, "the records of poison")
        return time.time()

    async def caught_up(self, ends: Mapping[tuple[str, int], int], seconds: float) -> None:
        """When the journal has every input up to `ends`: by topic and partition, one past the last."""
        await self.journal.until(
            lambda: all(self._next_offset[place] >= end for place, end in ends.items()), seconds, "the end of the inputs"
        )

    def _take(self, entry: Entry) -> None:
        topic, partition, offset = entry.input
        self.decided_at[entry.partition] = entry.decided_at
        self.governance_offset[entry.partition] = entry.body["governance_offset"]
        if entry.body["poison"]:
            self.poisoned.add(entry.input)
        if topic != TICKS:
            self._next_offset[topic, partition] = max(self._next_offset[topic, partition], offset + 1)
