"""The guardian: reads to the end, judges each hour when it is over, pauses what does harm. One instance.

Owns when an hour is over: so long after its end by the clock that no transaction of that hour can still be open, once all that
the topics held then is read. Refuses to resume, to ramp and to judge what is not in force; its key could sign none of it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from app.contract.times import HOUR_US
from app.governance import drafts
from app.governance.drafts import Draft, Drafter
from app.governance.log import Judged, history
from app.governance.moves import Role
from app.governance.records import RefusedError
from app.governance.state import PolicyLog, State
from app.governance.writer import Appended, GovernanceWriter
from app.guardian.evidence import Judgement, judge
from app.guardian.guardrails import unwatched
from app.guardian.ledger import Ledger, Span
from app.guardian.reading import WAIT_MS, feed, places, take
from app.guardian.shift import Shift
from app.settings import Settings

log = logging.getLogger(__name__)

ROLE: Role = "guardian"
# A transaction is open for seconds; an hour whose last records come later than this counts them nowhere.
GRACE_US = 60_000_000


class Guardian:
    """One run. say: told of every pause, and of what cannot be watched."""

    def __init__(self, settings: Settings, ledger: Ledger, writer: GovernanceWriter, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._writer = writer
        self._say = say
        self._judged_us = 0
        self._unwatched: set[tuple[str, str]] = set()

    async def run(self, stopping: asyncio.Event, *, once: bool) -> list[Appended]:
        """Until `stopping` is set; once: one judgement at the end that the topics have now. The pauses it wrote."""
        paused: list[Appended] = []
        async with feed(self._settings, self._ledger, await places(self._settings)) as source:
            while not stopping.is_set():
                for piece in await source.take(WAIT_MS):
                    take(self._ledger, piece)
                if await source.reached():
                    paused += await self._judge((source.asked_us - GRACE_US) // HOUR_US * HOUR_US)
                    if once:
                        break
                    await source.look()
        return paused

    async def _judge(self, until_us: int) -> list[Appended]:
        """Every policy that treats now, at the end of each hour once."""
        if until_us <= self._judged_us:
            return []
        state = (await self._writer.catch_up()).state
        found = [await self._pause(policy, until_us) for policy in state.policies.values() if is_treating(policy)]
        self._judged_us = until_us
        self._ledger.mark_judged(until_us)
        return [appended for appended in found if appended is not None]

    async def _pause(self, policy: PolicyLog, until_us: int) -> Appended | None:
        version = policy.current
        assert version is not None
        self._name_unwatched(policy.key, unwatched(version.policy))
        span = Span(0, until_us)
        if breaches(self._ledger, policy, span):  # rare, so that the log is read for the last resume only now
            span = Span(await _resumed_us(self._settings, policy.key), until_us)
        breach = next(iter(breaches(self._ledger, policy, span)), None)
        if breach is None:
            return None
        body = breach.body(version.number, span, self._ledger.offsets())
        try:
            appended = await self._writer.append(_pause(policy.key, version.number, body), reason=breach.said(), role=ROLE)
        except RefusedError as refusal:  # somebody killed, retired or replaced it meanwhile: it treats nobody any more
            self._say(f"{policy.key} is not paused: {refusal}")
            return None
        self._say(f"paused {policy.key}: {breach.said()}")
        return appended

    def _name_unwatched(self, key: str, metrics: list[str]) -> None:
        for metric in metrics:
            if (key, metric) not in self._unwatched:
                self._unwatched.add((key, metric))
                self._say(f"{key}: nothing counts the guardrail {metric}: give it an event")


def is_treating(policy: PolicyLog) -> bool:
    version = policy.current
    return version is not None and version.state == "active" and version.policy.mode == "live"


def _pause(key: str, version: int, body: dict[str, Any]) -> Drafter:
    """Of the version that was judged, and no other: one that replaced it meanwhile is refused, since it is not in force."""

    def draft(_: State) -> Draft:
        return drafts.Draft("paused", key, version, body)

    return draft


def breaches(ledger: Ledger, policy: PolicyLog, span: Span) -> list[Judgement | Shift]:
    """What stands against the version in force now."""
    version = policy.current
    return [] if version is None else [one for one in judge(ledger, version.policy, version.number, span) if one.is_breach]


async def _resumed_us(settings: Settings, key: str) -> int:
    """When somebody last resumed the policy: the same evidence does not pause it twice against an operator's word."""

    def is_resume(one: Judged) -> bool:
        return one.refusal is None and one.record is not None and (one.record.type, one.record.policy) == ("resumed", key)

    _, found = await history(settings, is_resume)
    return max((one.append_us for one in found), default=0)
