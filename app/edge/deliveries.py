"""What was served, as records on `events.decision_delivery`: one for each decision of an answer, or one where there was none.

An answer is not held back for its record: it is handed over to be kept the moment before, and kept in the background until it
is durable, however long Kafka and the disk refuse. Owns that, and the bound on what waits; past it no decision is served.
Refuses to promise what cannot be: an edge that is killed within those milliseconds has served an answer without its record.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from app.contract.ids import uuid_of
from app.contract.times import format_us
from app.contract.topics import DECISION_DELIVERY, event_name_of
from app.edge.intake import NATIVE
from app.edge.keeper import Keeper
from app.edge.record import Record
from app.edge.refusal import RefusalError
from app.edge.served import Served, ServedDecision

log = logging.getLogger(__name__)

# Served and not yet durable.
WAITING_MAX = 20_000
# Of one round: what the keeper takes at once is bounded in bytes, and so is this.
AT_ONCE = 1_000
RETRY_SECONDS = 0.2
# How long an end waits for what was served to become durable.
STOP_SECONDS = 10.0


class Deliveries:
    """`start`, then `add`; `stop` before the keeper's."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._waiting: deque[Record] = deque()
        self._wanted = asyncio.Event()
        self._kept = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep(), name="deliveries")

    async def stop(self) -> None:
        assert self._task is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while self._waiting:
                    self._kept.clear()
                    await self._kept.wait()
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._waiting:
            log.critical("%d delivery records could not be kept: neither Kafka nor the disk took them", len(self._waiting))

    @property
    def has_room(self) -> bool:
        return len(self._waiting) < WAITING_MAX

    def admit(self) -> None:
        """RefusalError when what was served before waits to be kept already: nothing is served without its record."""
        if not self.has_room:
            raise RefusalError("overloaded", f"{WAITING_MAX} delivery records wait to be kept already; ask again")

    def add(self, served: Served, event: Mapping[str, Any], delivered_us: int, request_id: bytes) -> None:
        """Of an answer that is given now, to the signal `event`. request_id: as no other one has it."""
        self._waiting.extend(_records(served, event, delivered_us, request_id))
        self._wanted.set()

    async def _keep(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                batch = [self._waiting[place] for place in range(min(AT_ONCE, len(self._waiting)))]
                try:
                    await self._keeper.keep(batch)
                except RefusalError as refusal:
                    log.warning("%d delivery records wait: %s", len(self._waiting), refusal.message)
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    for _ in batch:
                        self._waiting.popleft()
                    self._kept.set()


def _records(served: Served, event: Mapping[str, Any], delivered_us: int, request_id: bytes) -> Iterator[Record]:
    now = format_us(delivered_us)
    who = {name: event.get(name) for name in ("user_id", "anonymous_id", "session_id")}
    for decision in served.decisions or (None,):
        what = "" if decision is None else decision.decision_id or decision.policy
        event_id = uuid_of(f"{request_id.hex()}\x1f{what}\x1fdelivery")
        body = {
            "event_name": event_name_of(DECISION_DELIVERY),
            "event_id": event_id,
            **who,
            "ts": now,
            "properties": _properties(served, decision) | {"delivered_ts": now},
            "source": NATIVE,
            "received_ts": now,
        }
        yield Record(DECISION_DELIVERY, served.unit.encode(), orjson.dumps(body), event_id, delivered_us)


def _properties(served: Served, decision: ServedDecision | None) -> dict[str, Any]:
    visible_us = served.visible_us
    common = {
        "signal_event_id": served.event_id,
        "why": served.why,
        "visible_ts": None if visible_us is None else format_us(visible_us),
        "deadline_ms": served.deadline_ms,
        "pushed": served.deadline_ms is None,
    }
    if decision is None:
        return {"decision_id": None, "served": "none", **common}
    own = {name: getattr(decision, name) for name in ("policy", "decision_point", "variant", "rule_version", "assignment_id")}
    return {"decision_id": decision.decision_id, "served": decision.served, "reason": decision.reason, **own, **common}


def now_us() -> int:
    return time.time_ns() // 1_000
