"""The governance log as the pages see it: its fold, and every record with who, why and what the fold made of it.

Read from its first record at each start: the signatures are what is trusted, not a copy of their result. Refuses to go on
behind an error of the log: the console ends, for it would show a state that is none.
"""

import asyncio
import contextlib
from collections.abc import Callable
from hashlib import sha256

from app.analysis.experiment import Governed as Told
from app.analysis.experiment import Story
from app.console.changes import Changes
from app.governance.fold import Fold
from app.governance.keys import root_public_key
from app.governance.log import Entry, GovernanceLog, Judged
from app.governance.records import RefusedError, parse
from app.governance.state import State
from app.settings import Settings


class GovernedView:
    """`start` returns when the log is read to its end. records: all, oldest first. stories: of the policies, from the records
    that were applied, as the blinding rule wants them."""

    def __init__(self, settings: Settings, changes: Changes) -> None:
        self.records: list[Judged] = []
        self.genesis = ""
        self.stories: dict[str, Story] = {}
        self.on_failure: Callable[[BaseException], None] = lambda error: None
        self._fold = Fold(root_public_key(settings))
        self._log = GovernanceLog(settings)
        self._changes = changes
        self._told: dict[str, list[Told]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._log.__aenter__()
        await self._log.read(await self._log.end(), self._take)
        self._task = asyncio.create_task(self._log.follow(self._take), name="console governance")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([self._task])
        await self._log.__aexit__(None, None, None)

    @property
    def state(self) -> State:
        return self._fold.state

    async def reach(self, offset: int, seconds: float) -> None:
        """Waits, with a bound, until the record at `offset` is seen here."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._fold.offset < offset and (left := until - loop.time()) > 0:
            await self._changes.after(self._changes.count, left)

    def of(self, key: str) -> list[Judged]:
        """The policy's records, and those that stopped its decision points or everything, newest first."""
        log = self.state.policies.get(key)
        points = {f"point:{v.policy.trigger.decision_point}" for v in log.versions.values()} if log else set()
        targets = points | {"*"}
        return [
            judged
            for judged in reversed(self.records)
            if judged.record is not None
            and (judged.record.policy == key or (judged.record.policy is None and judged.record.body.get("target") in targets))
        ]

    def told(self, key: str) -> list[Told]:
        """The policy's records that were applied, oldest first."""
        return self._told.get(key, [])

    def _take(self, entry: Entry) -> None:
        if not self.genesis:
            self.genesis = sha256(entry.raw or b"").hexdigest()
        refusal = self._fold.apply(*entry)
        try:
            record = parse(entry.raw)
        except RefusedError:
            record = None
        self.records.append(Judged(entry.offset, entry.append_us, record, refusal))
        if record is not None and refusal is None and record.policy is not None:
            version = record.rule_version or 0
            told = Told(record.type, record.policy, version, record.body, record.role, record.reason, entry.append_us)
            self._told.setdefault(told.policy, []).append(told)
            self.stories.setdefault(told.policy, Story(told.policy)).take(told)
        self._changes.tell()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.on_failure(error)
