"""A worker's view of the governance log: read to its end before the first record, then followed, and known to be fresh.

Owns one consumer on the one partition of `governance`, the fold, and the time of the last proof of freshness. Refuses to guess:
the view is fresh as of a moment at which the partition's leader said where the log ends, once all up to there is read.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from time import monotonic

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.contract.topics import GOVERNANCE
from app.engine.policies import Policies
from app.errors import OperatorError
from app.governance.fold import Fold
from app.governance.log import ISOLATION, append_us_of, missing_topic
from app.governance.topology import Partitions
from app.reach import explained
from app.settings import Settings

log = logging.getLogger(__name__)

# Short, since the probe for the end of the log waits behind a fetch on the same connection.
FETCH_WAIT_MS = 100
# A connection that answers nothing must be noticed well within the governed staleness bound (5 s).
REQUEST_TIMEOUT_MS = 2_000
PROBE_SECONDS = 0.5
# How long a start waits for the log's end; a log is thousands of records at the most.
CATCH_UP_SECONDS = 60.0


class GovernanceFollower:
    """`policies` is the snapshot to decide by; `stale()` says whether it may still be trusted."""

    def __init__(self, settings: Settings, root_public_key: str) -> None:
        self._settings = settings
        self._fold = Fold(root_public_key)
        self._partition = TopicPartition(settings.topic(GOVERNANCE), 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._progress = asyncio.Condition()
        self._ask = asyncio.Event()  # somebody waits for the end of the log: do not sit out the pause between two probes
        self._fresh_at = float("-inf")
        self._unread_end: tuple[int, float] | None = None  # (end of the log, when it was the end)
        self.policies: Policies = self._fold.policies()
        self._held_back = False
        # What must be ready before the worker decides by what was read. Nothing is fresh meanwhile: none of it may take long.
        self.before_change: list[Callable[[], Awaitable[None]]] = []
        self.on_change: list[Callable[[Policies], None]] = []
        self.on_failure: Callable[[BaseException], None] = _say

    async def start(self) -> None:
        """Connects and reads the log to its end. OperatorError when there is no such topic or no answer."""
        self._consumer = consumer = AIOKafkaConsumer(
            **self._settings.governance_kafka(),
            isolation_level=ISOLATION,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=50,
            metadata_max_age_ms=5_000,
        )
        try:
            await consumer.start()
            await self._check_topic(consumer)
        except KafkaError as error:
            await consumer.stop()
            raise await explained(error, self._settings.governance_kafka(), self._partition.topic) from error
        except OperatorError:
            await consumer.stop()
            raise
        consumer.assign([self._partition])
        consumer.seek(self._partition, 0)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._probe())]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        async with self._progress:
            await self._until(lambda: self._fresh_at > float("-inf"), "its end")

    async def catch_up(self, offset: int) -> None:
        """Reads the log to its end of now, at least up to `offset`: a journal never goes back behind what it was decided by.

        Where the end is not to be had for so long that the view has gone stale, returns with the stale view.
        """
        asked_at = monotonic()
        self._ask.set()
        async with self._progress:
            await self._until(lambda: self.policies.offset >= offset, f"offset {offset}")
            await self._until(lambda: self._fresh_at >= asked_at or self.stale(), "its end")

    async def reach(self, offset: int) -> None:
        """Reads the log at least up to `offset`: what another worker sent was decided by it."""
        async with self._progress:
            await self._until(lambda: self.policies.offset >= offset, f"offset {offset}")

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    @property
    def partitions(self) -> Partitions:
        """The partition count and the change of it that is under way, by the last record read."""
        return self._fold.state.partitions

    def stale(self) -> bool:
        """True when nothing proved for `governance_max_stale_seconds` that no newer record exists."""
        return monotonic() - self._fresh_at > self.policies.catalogue.bounds.governance_max_stale_seconds

    def age_seconds(self) -> float:
        """Time since the last proof of freshness."""
        return monotonic() - self._fresh_at

    def refused(self) -> dict[str, int]:
        """Records that were ignored, counted by the code of their refusal."""
        return dict(self._fold.refused)

    def failure(self) -> BaseException | None:
        """The error that ended the reading of the log, if any: the worker must not go on without."""
        return next((task.exception() for task in self._tasks if task.done() and not task.cancelled()), None)

    async def _check_topic(self, consumer: AIOKafkaConsumer) -> None:
        if self._partition.topic not in await consumer.topics():
            raise missing_topic(self._partition.topic, str(self._settings.governance_kafka()["bootstrap_servers"]))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.on_failure(error)

    async def _until(self, reached: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while not reached():
                    failure = self.failure()
                    if failure is not None:
                        raise failure
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._progress.wait(), PROBE_SECONDS)
        except TimeoutError:
            raise OperatorError(
                f"the topic {self._partition.topic} was not read to {what} within {CATCH_UP_SECONDS:.0f} s",
                "Check the connection to the governance partition's leader (TRUELIFT_GOVERNANCE_BROKER)",
            ) from None

    async def _read(self) -> None:
        assert self._consumer is not None
        while True:
            batches = await self._consumer.getmany(self._partition, timeout_ms=FETCH_WAIT_MS)
            for message in batches.get(self._partition, ()):
                refusal = self._fold.apply(message.offset, append_us_of(message), message.value)
                if refusal is not None:
                    log.warning("governance record at offset %d is ignored: %s", message.offset, refusal)
            if batches:
                await self._take_up()
            await self._note(self._unread_end)

    async def _take_up(self) -> None:
        self._held_back = True
        for prepare in self.before_change:
            await prepare()
        self._held_back = False
        self.policies = self._fold.policies()
        for notify in self.on_change:
            notify(self.policies)

    async def _probe(self) -> None:
        """Asks the leader where the log ends. An error or no answer proves nothing, and the time since the last proof grows."""
        assert self._consumer is not None
        while True:
            asked_at = monotonic()
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                    ends = await self._consumer.end_offsets([self._partition])
                await self._note((ends[self._partition], asked_at))
            except (KafkaError, TimeoutError) as error:
                log.warning("no answer from the governance partition for %.1f s: %r", self.age_seconds(), error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ask.wait(), PROBE_SECONDS)
            self._ask.clear()

    async def _note(self, end: tuple[int, float] | None) -> None:
        """Fresh as of `end`'s moment once everything before it was read; until then it is kept for the reader to reach."""
        if end is None:
            return
        assert self._consumer is not None
        position = await self._consumer.position(self._partition)
        async with self._progress:
            if position >= end[0] and not self._held_back:
                self._fresh_at = max(self._fresh_at, end[1])
                self._unread_end = None
            elif self._unread_end is None:
                self._unread_end = end
            self._progress.notify_all()


def _say(error: BaseException) -> None:
    log.critical("the governance log is not followed any more", exc_info=error)
