"""Appending to the governance log: check at the head, sign, produce, read back; on a lost race the same again.

Two writers that sign on one head both reach the log, and every fold applies the first and refuses the other as out of chain.
The other sees that when it reads its record back, and signs anew on the new head. So none is lost, and none is applied twice.
"""

import asyncio
import time
from types import TracebackType
from typing import NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.contract.times import format_us
from app.contract.topics import GOVERNANCE
from app.errors import InternalError, OperatorError
from app.governance.drafts import Draft, Drafter
from app.governance.fold import Fold
from app.governance.judge import BROKER_TIME_REMEDY
from app.governance.keys import SigningKey, root_public_key
from app.governance.log import Entry, GovernanceLog
from app.governance.moves import ROLES_OF, Role
from app.governance.records import MAX_RECORD_BYTES, Record, RefusedError, check_writable
from app.governance.signatures import sign
from app.reach import missing_right
from app.settings import Settings

# Each round of a race has a winner, so N writers need N rounds of a few milliseconds; this ends a writer cut off from the log.
APPEND_SECONDS = 60.0
PRODUCE_TIMEOUT_MS = 10_000
# It was not refused at the head before it was sent, so something has changed in between, or is not as it seemed from here.
_REMEDY = "Check this machine's clock and key, then write it again"
_REMEDIES = {"no_broker_time": BROKER_TIME_REMEDY}
_LOST_RACE = frozenset({"out_of_chain", "wrong_seq"})


class Appended(NamedTuple):
    """A record that is in the chain. append_us: the broker's append time, of millisecond resolution."""

    record: Record
    offset: int
    append_us: int


class GovernanceWriter:
    """Writes with one key. Use as an async context manager; `fold` is the log as last read."""

    def __init__(self, settings: Settings, key: SigningKey, root: str | None = None) -> None:
        self._settings = settings
        self._key = key
        self._log = GovernanceLog(settings)
        self._producer: AIOKafkaProducer | None = None
        self._turn = asyncio.Lock()
        self.fold = Fold(root or root_public_key(settings))

    async def __aenter__(self) -> Self:
        await self._log.__aenter__()
        try:
            self._producer = AIOKafkaProducer(
                **self._settings.governance_kafka(),
                acks="all",
                enable_idempotence=True,
                request_timeout_ms=PRODUCE_TIMEOUT_MS,
                max_request_size=2 * MAX_RECORD_BYTES,
            )
            await self._producer.start()
            await self.catch_up()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._producer is not None:
                await self._producer.stop()
        finally:
            await self._log.__aexit__(kind, error, trace)

    async def catch_up(self) -> Fold:
        """Reads to the end that the log has now."""
        await self._log.read(await self._log.end(), lambda entry: self.fold.apply(*entry))
        return self.fold

    async def append(self, draft: Drafter, *, reason: str, role: Role | None = None) -> Appended:
        """Returns when the record is in the chain. RefusedError, with the remedy, when the log's state forbids it."""
        async with self._turn:
            try:
                async with asyncio.timeout(APPEND_SECONDS):
                    await self.catch_up()
                    while True:
                        record = self._signed(draft(self.fold.state), reason, role)
                        appended, refusal = await self._try(record)
                        if refusal is None:
                            return appended
                        if refusal not in _LOST_RACE:
                            what = f"the log refused the record at offset {appended.offset}: {refusal}"
                            raise RefusedError(refusal, what, _REMEDIES.get(refusal, _REMEDY))
            except TimeoutError as error:
                what = f"the record was not in the governance log after {APPEND_SECONDS:.0f} s; it may still be"
                raise OperatorError(what, "Look before you write it again: truelift policy log KEY") from error

    def _signed(self, draft: Draft, reason: str, role: Role | None) -> Record:
        """The draft at the head of the log, refused here if it would be refused there."""
        check_writable(draft.body)
        state, now_us = self.fold.state, time.time_ns() // 1_000
        key = state.keys.get(self._key.key_id)
        if key is None:
            what = f"no keys record knows the key {self._key.name!r} ({self._key.key_id})"
            raise RefusedError("unknown_key", what, "Let root register it: truelift keys new")
        held: Role = next((r for r in ROLES_OF[draft.type] if r in key.roles), key.roles[0])
        record = Record(
            seq=state.seq + 1,
            prev_hash=state.head_hash,
            type=draft.type,
            policy=draft.policy,
            rule_version=draft.rule_version,
            body=draft.body,
            actor=key.actor,
            role=held if role is None else role,
            reason=reason,
            ts=format_us(now_us),
            key_id=key.key_id,
            signature="",
        )
        record = sign(record, self._key.private_key)
        self.fold.check(record, now_us)
        return record

    async def _try(self, record: Record) -> tuple[Appended, str | None]:
        """Produces the record and reads the log up to it: (where it is, the fold's refusal)."""
        assert self._producer is not None, "use `async with`"
        topic = self._settings.topic(GOVERNANCE)
        try:
            meta = await self._producer.send_and_wait(topic, value=record.raw(), partition=0)
        except KafkaError as error:
            if refusal := missing_right(error):
                raise refusal from error
            what = f"the record could not be appended to {topic} ({type(error).__name__} {error}); it may still be there"
            raise OperatorError(what, "Look before you write it again: truelift policy log KEY") from error
        mine: list[tuple[Appended, str | None]] = []

        def take(entry: Entry) -> None:
            refusal = self.fold.apply(*entry)
            if entry.offset == meta.offset:
                mine.append((Appended(record, entry.offset, entry.append_us), refusal))

        await self._log.read(meta.offset + 1, take)
        if mine:
            return mine[0]
        raise InternalError(f"offset {meta.offset} of {topic} was acknowledged and is not there", "Check the topic's retention")
