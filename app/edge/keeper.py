"""Durable before it is acknowledged: in Kafka, or else synced to the spool, which drains in order when Kafka is back.

Requests that wait at the same time share a round: one append for all of them, and while it runs the next round fills. So
neither an event nor a request has a future in the producer of its own, and a slow disk is synced once for many.

While the spool holds anything, everything goes through it: a unit's records stay in the order in which they came. `_direct`
says which way is open; whoever changes it has `_turn`, so that no round is on its way then. The last of the spool is moved
while rounds wait: under steady load there would be no moment in which the spool is empty.
Refuses: more than memory and disk are allowed to hold (RefusalError); then nothing of the request was kept.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from aiokafka.errors import KafkaError

from app.edge.record import Record
from app.edge.refusal import RefusalError
from app.edge.spool import Spool, SpoolFullError
from app.errors import OperatorError

log = logging.getLogger(__name__)

# Received and not yet durable, all requests together.
PENDING_BYTES_MAX = 64 << 20
# Between two attempts to reach a broker that does not answer: it has no event for its return.
RECONNECT_SECONDS = 0.2
# So little is moved while rounds wait.
HANDOVER_BYTES = 1 << 20
# How long an end waits for the round in hand; what is then not durable was not acknowledged either.
STOP_SECONDS = 10.0

UNREACHABLE = (KafkaError, OSError, TimeoutError, OperatorError)


class Log(Protocol):
    """Where records go when Kafka answers (appender.py)."""

    async def append(self, records: Sequence[Record]) -> None: ...

    def disconnect(self) -> None: ...


class Drain(Protocol):
    """From the spool to Kafka (drain.py)."""

    async def begin(self) -> None: ...

    async def move(self, until_bytes: int) -> int: ...


class _Round:
    def __init__(self) -> None:
        self.records: list[Record] = []
        self.bytes = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Keeper:
    """`start`, then `keep`. counts: events appended, spooled, drained."""

    def __init__(self, kafka: Log, spool: Spool, drain: Drain, ack_seconds: float) -> None:
        self.counts: Counter[str] = Counter()
        self._kafka = kafka
        self._spool = spool
        self._drain = drain
        self._ack_seconds = ack_seconds
        self._direct = False
        self._turn = asyncio.Lock()
        self._pending_bytes = 0
        self._wanted = asyncio.Event()
        self._broken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._filling: _Round | None = None
        self._stopping = False

    @property
    def is_direct(self) -> bool:
        """Whether events go to Kafka at once."""
        return self._direct

    def start(self) -> None:
        """From the first moment everything can be kept, by the spool; the way to Kafka opens when it answers."""
        self._broken.set()
        self._tasks = [
            asyncio.create_task(self._keep_rounds(), name="rounds"),
            asyncio.create_task(self._reopen(), name="drain"),
        ]

    async def stop(self) -> None:
        """Whoever waits gets its answer first; what is in the spool stays there for the next start."""
        self._stopping = True
        self._wanted.set()
        rounds, drain = self._tasks
        drain.cancel()
        await asyncio.wait([rounds, drain], timeout=STOP_SECONDS)
        rounds.cancel()

    def failure(self) -> BaseException | None:
        """What ended one of the tasks: nothing ever should, and the edge must not go on without."""
        return next((task.exception() for task in self._tasks if task.done() and not task.cancelled()), None)

    async def ended(self) -> None:
        """Returns when one of the tasks has ended."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def keep(self, records: Sequence[Record]) -> None:
        """Returns when all of them are durable. RefusalError: none of them counts."""
        size = sum([len(record.value) for record in records])
        if self._stopping:
            raise RefusalError("stopping", "this edge is about to end; send it again")
        if self._pending_bytes + size > PENDING_BYTES_MAX:
            raise RefusalError("overloaded", f"{PENDING_BYTES_MAX} bytes wait to be kept already; send it again")
        if self._filling is None:
            self._filling = _Round()
        current = self._filling
        current.records.extend(records)
        current.bytes += size
        self._pending_bytes += size
        self._wanted.set()
        # The round is everybody's: one request that is given up must not take it from the others.
        await asyncio.shield(current.done)

    async def _keep_rounds(self) -> None:
        while not self._stopping or self._filling is not None:
            await self._wanted.wait()
            self._wanted.clear()
            current, self._filling = self._filling, None
            if current is None:
                continue
            try:
                async with self._turn:
                    await self._store(current.records)
            except RefusalError as refusal:
                current.done.set_exception(refusal)
                current.done.exception()  # a request that was given up does not ask any more
            else:
                current.done.set_result(None)
            finally:
                self._pending_bytes -= current.bytes

    async def _store(self, records: Sequence[Record]) -> None:
        if self._direct:
            try:
                async with asyncio.timeout(self._ack_seconds):
                    await self._kafka.append(records)
            except UNREACHABLE as error:
                log.warning("Kafka does not take events (%s); they go to the spool", _named(error))
                self._direct = False
                self._broken.set()
            else:
                self.counts["appended"] += len(records)
                return
        try:
            await self._spool.append(records)
        except SpoolFullError:
            raise RefusalError("spool_full", "Kafka does not answer and the spool is full; send it again later") from None
        except OSError as error:
            log.critical("the spool cannot be written: %s", error)
            raise RefusalError("spool_full", "neither Kafka nor the disk takes events; send it again later") from None
        self.counts["spooled"] += len(records)

    async def _reopen(self) -> None:
        """Whenever the way is closed: reach Kafka, empty the spool, open the way."""
        while True:
            await self._broken.wait()
            self._broken.clear()
            self._kafka.disconnect()
            said = ""
            while not self._direct:
                try:
                    await self._drain.begin()
                    self.counts["drained"] += await self._drain.move(HANDOVER_BYTES)
                    async with self._turn:
                        self.counts["drained"] += await self._drain.move(0)
                        self._direct = True
                except UNREACHABLE as error:
                    if said != (said := _named(error)):
                        log.warning("Kafka is not reached: %s", said)
                    self._kafka.disconnect()
                    await asyncio.sleep(RECONNECT_SECONDS)
            log.warning("events go to Kafka")


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
