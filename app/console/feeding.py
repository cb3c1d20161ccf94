"""What keeps the read model up to date: the topics' committed records, followed from the offsets that it holds.

Owns the task and what it says about itself (live, behind, why not). Refuses to end for a broker that is away: it tries again,
and every page says since when its figures stand still.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from aiokafka.errors import KafkaError

from app.console.changes import Changes
from app.console.intake import TOPICS, take
from app.console.store import ReadModel
from app.errors import OperatorError
from app.reading import topics_here
from app.settings import Settings
from app.warehouse.feed import Feed, Marks

log = logging.getLogger(__name__)

WAIT_MS = 500
RETRY_SECONDS = 1.0
# How often the ends of the topics are asked: for the lag, and for partitions that were added.
LOOK_SECONDS = 5.0


class Feeding:
    """`start`, then `stop`. trouble: why nothing comes at the moment, None while all is well."""

    def __init__(self, settings: Settings, model: ReadModel, changes: Changes) -> None:
        self.trouble: str | None = "the topics are not read yet"
        self.reached = False
        self.partitions: list[int] = []
        self.on_failure: Callable[[BaseException], None] = lambda error: None
        self._settings = settings
        self._model = model
        self._changes = changes
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="console feed")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([self._task])

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.on_failure(error)

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except (OperatorError, KafkaError, OSError) as error:
                said = f"{error}" or type(error).__name__
                if said != self.trouble:
                    log.warning("the topics are not read: %s", said)
                self.trouble, self.reached = said, False
                self._changes.tell()
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        here = await topics_here(self._settings)
        missing = [name for name in TOPICS if name not in here]
        if missing:
            raise OperatorError(f"missing topic {self._settings.topic(missing[0])}", "Create it with `truelift topics init`")
        offsets = await asyncio.to_thread(self._model.offsets)
        marks = Marks(lambda topic, partition: offsets.get((topic, partition), 0), lambda topic, partition: 0)
        async with Feed(self._settings, {name: here[name] for name in TOPICS}, marks, accept_loss=True) as feed:
            self.trouble = None
            looked = time.monotonic()
            while True:
                self.partitions = sorted({partition for _, partition in feed.positions()})
                pieces = await feed.take(WAIT_MS)
                if pieces:
                    # In a thread: pages are answered meanwhile.
                    await asyncio.to_thread(take, self._model, pieces)
                    self._changes.tell()
                is_due = time.monotonic() - looked > LOOK_SECONDS
                if is_due or not self.reached:
                    # Held against the ends of the last look: under load the ends of this moment are never reached.
                    self.reached = await feed.reached()
                if is_due:
                    looked = time.monotonic()
                    await feed.look()
