"""Copies of committed journal records for edges that wait: sent after the commit, best effort, outside of every transaction.

Owns the partition check (who writes a header chooses the number), the bound on what waits, and a producer of its own, made when
the first copy is asked for. Refuses to matter: it never holds a commit back, never waits for room and fails no worker. What
cannot be sent is dropped and counted; the edge then serves its fallback, and the journal has the decision all the same.
"""

import asyncio
import contextlib
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.contract.replies import ReplyTo
from app.contract.topics import REPLIES
from app.settings import Settings

log = logging.getLogger(__name__)

# Committed and not yet sent; past it the oldest are dropped, whose edges wait no more.
WAITING_BYTES_MAX = 8 << 20
WAITING_MAX = 20_000
BATCH_BYTES = 256 << 10
# Nobody waits longer for a reply.
REQUEST_TIMEOUT_MS = 5_000
RETRY_BACKOFF_MS = 20
# Between two attempts to connect; what waits meanwhile is dropped.
RETRY_SECONDS = 1.0
STOP_SECONDS = 1.0


class Reply(NamedTuple):
    """record: the journal record's bytes."""

    to: ReplyTo
    record: bytes


class Replier:
    """counts: sent, failed, dropped, no_such_partition."""

    def __init__(self, settings: Settings) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._waiting: deque[Reply] = deque()
        self._waiting_bytes = 0
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def send(self, replies: Sequence[Reply]) -> None:
        """Of records that have been committed. Returns at once, whatever happens to them."""
        self._waiting.extend(replies)
        self._waiting_bytes += sum(len(reply.record) for reply in replies)
        while self._waiting_bytes > WAITING_BYTES_MAX or len(self._waiting) > WAITING_MAX:
            self._waiting_bytes -= len(self._waiting.popleft().record)
            self.counts["dropped"] += 1
        self._idle.clear()
        self._wanted.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="replies")
            self._task.add_done_callback(_say)

    async def stop(self) -> None:
        """What was committed last may still be sent."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._idle.wait()
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        said = ""
        while True:
            try:
                await self._send_all()
            except (KafkaError, OSError, TimeoutError) as error:
                if said != (said := repr(error)):
                    log.warning("replies to edges cannot be sent, they serve fallbacks: %s", said)
            self._drop()
            await asyncio.sleep(RETRY_SECONDS)
            await self._wanted.wait()

    async def _send_all(self) -> None:
        topic = self._settings.topic(REPLIES)
        producer = AIOKafkaProducer(
            **self._settings.kafka(),
            acks=1,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=RETRY_BACKOFF_MS,
        )
        await producer.start()
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                known = await producer.partitions_for(topic)
                for partition, replies in self._by_partition(known).items():
                    await self._send(producer, topic, partition, replies)
                if not self._waiting:
                    self._idle.set()
        finally:
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await producer.stop()

    def _by_partition(self, known: "set[int]") -> dict[int, list[Reply]]:
        found: defaultdict[int, list[Reply]] = defaultdict(list)
        for reply in self._taken():
            if reply.to.partition in known:
                found[reply.to.partition].append(reply)
            else:
                self.counts["no_such_partition"] += 1
        return found

    async def _send(self, producer: AIOKafkaProducer, topic: str, partition: int, replies: Sequence[Reply]) -> None:
        batch, count = producer.create_batch(), 0
        for reply in replies:
            if batch.append(timestamp=None, key=reply.to.request_id, value=reply.record) is None:
                self._watch(await producer.send_batch(batch, topic, partition=partition), count)
                batch, count = producer.create_batch(), 0
                batch.append(timestamp=None, key=reply.to.request_id, value=reply.record)
            count += 1
        self._watch(await producer.send_batch(batch, topic, partition=partition), count)

    def _watch(self, sent: "asyncio.Future[object]", count: int) -> None:
        """Nobody waits for the acknowledgement; it is counted."""

        def note(done: "asyncio.Future[object]") -> None:
            failed = done.cancelled() or done.exception() is not None
            self.counts["failed" if failed else "sent"] += count

        sent.add_done_callback(note)

    def _drop(self) -> None:
        self.counts["dropped"] += len(self._taken())
        self._wanted.clear()
        self._idle.set()

    def _taken(self) -> Sequence[Reply]:
        taken, self._waiting = self._waiting, deque()
        self._waiting_bytes = 0
        return taken


def _say(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("no replies are sent any more", exc_info=task.exception())
