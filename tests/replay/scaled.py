"""The small history while its partition count grows: from two to four to eight, producers with metadata of any age."""

from typing import Any

from app.contract.topics import JOURNAL
from app.governance.drafts import catalogue, topology
from tests.replay.world import PARTITIONS, World, catalogue_body

COUNTS = (PARTITIONS, 4, 8)
SECONDS = 150
# Of each change: when the topics grow, when units begin to move, when all have moved.
CHANGES_MS = ((62_000, 66_000, 84_000), (90_000, 94_000, 112_000))
PRODUCERS_LAG_MS = 30_000


class ScaledWorld(World):
    """Its governance, its partitions and what producers know of them follow CHANGES_MS."""

    def __init__(self, start_ms: int, **changes: Any) -> None:
        super().__init__(start_ms, seconds=SECONDS, **changes)

    def _write_governance(self) -> None:
        super()._write_governance()
        slowly = catalogue_body()
        slowly["bounds"]["units_moved_per_tick"] = 1
        self.govern("otto", catalogue(slowly), after_ms=61_000)
        for previous, count, moments in zip(COUNTS, COUNTS[1:], CHANGES_MS, strict=False):
            for phase, after_ms in zip(("expanding", "moving", "settled"), moments, strict=True):
                self.govern("otto", topology(phase, previous, count), after_ms=after_ms)  # type: ignore[arg-type]

    def partitions_at(self, ms: int) -> int:
        """Owned ones: new groups begin with the second phase."""
        begun = sum(ms - self.start_ms >= moments[1] for moments in CHANGES_MS)
        return COUNTS[begun]

    def producers_count(self, ms: int) -> int:
        """New topics' partitions are known at once to some, to others much later."""
        known = [moments[1] for moments in CHANGES_MS]
        begun = [ms - self.start_ms - lag >= at for lag in (0, PRODUCERS_LAG_MS) for at in known]
        counts = {COUNTS[sum(begun[:2])], COUNTS[sum(begun[2:])]}
        return self.random.choice(sorted(counts))

    @property
    def partitions(self) -> list[int]:
        return sorted(partition for topic, partition in self.topics if topic == JOURNAL)
