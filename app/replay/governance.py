"""The governance log as a replay steps through it: the policies in force at each recorded governance offset.

Owns the fold up to an offset and a bounded memory of snapshots. Refuses an offset at which the log has no record: the
journal was then written under another log.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Self

from app.engine.policies import Policies
from app.governance.fold import Fold
from app.governance.keys import root_public_key
from app.governance.log import Entry, GovernanceLog, Judged, history
from app.governance.records import Record
from app.settings import Settings

# Partitions are replayed one after the other and ask for much the same offsets; snapshots share what they compiled.
SNAPSHOTS_KEPT = 512

Snapshot = Callable[[Fold], Policies]


class GovernanceSteps:
    """`at(offset)` for the policies in force there; an async context manager. Going back beyond what is kept reads anew."""

    def __init__(self, settings: Settings, snapshot: Snapshot = Fold.policies) -> None:
        self._settings = settings
        self._root = root_public_key(settings)
        self._snapshot = snapshot
        self._fold = Fold(self._root)
        self._log: GovernanceLog | None = None
        self._ahead: deque[Entry] = deque()
        self._kept: OrderedDict[int, Policies] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def at(self, offset: int) -> Policies | None:
        """The snapshot when the last record read was the one at `offset` (-1: none); None when the log has no such record."""
        known = self._kept.get(offset)
        if known is not None:
            return known
        if offset < self._fold.offset:
            await self._close()
            self._fold = Fold(self._root)
        if offset > self._fold.offset:
            await self._fold_to(offset)
        if self._fold.offset != offset:
            return None
        policies = self._kept[offset] = self._snapshot(self._fold)
        if len(self._kept) > SNAPSHOTS_KEPT:
            self._kept.popitem(last=False)
        return policies

    async def _fold_to(self, offset: int) -> None:
        if self._log is None:
            log = GovernanceLog(self._settings)
            self._log = await log.__aenter__()
        if not self._ahead or self._ahead[-1].offset < offset:
            await self._log.read(min(offset + 1, await self._log.end()), self._ahead.append)
        while self._ahead and self._ahead[0].offset <= offset:
            self._fold.apply(*self._ahead.popleft())

    async def _close(self) -> None:
        if self._log is not None:
            await self._log.__aexit__(None, None, None)
        self._log = None
        self._ahead.clear()


async def provenance(settings: Settings, policy: str, rule_version: int, until: int) -> list[tuple[int, Record]]:
    """(offset, record) of what was applied about that version up to governance offset `until`: who proposed it, approved it,
    brought it into force, ramped or stopped it."""

    def about(judged: Judged) -> bool:
        record = judged.record
        return (
            record is not None
            and judged.refusal is None
            and judged.offset <= until
            and (record.policy, record.rule_version) == (policy, rule_version)
        )

    _, kept = await history(settings, about)
    return [(judged.offset, judged.record) for judged in kept if judged.record is not None]
