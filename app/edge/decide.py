"""Decisions in time: a signal in, its committed decisions out, or at the deadline the policies' fallback actions.

`Decider.decide` is the one way to a decision over HTTP. The route below and whatever else answers with decisions call it:

    served = await edge.decider.decide(envelope, Asked(caller, received_us))

It takes the envelope as POST /v1/events does (validated, stamped, keyed by its unit), appends it durably, waits for the copy of
its journal record (replies.py), and hands what is served over to be recorded (deliveries.py) before it returns. So each call is
one signal, one journal record and one delivery record for each decision served. It returns
- `Served`: the answer. `source` "journal": as committed. "fallback": `why` says why (served.WHY), and each live policy that an
  event of the type triggers is answered with its `fallback_action`. The signal is decided all the same: the journal has it.
- `Rejection`: the envelope is none that can be decided on; it was kept as a dead letter.
It raises RefusalError where nothing was kept: too much at once, neither Kafka nor disk.

The deadline counts from the arrival of the request: the event type's budget less `edge_decide_margin_ms`, which is the way back
to the client; or what the caller asks for. Refuses to decide anything itself: a policy runs in the worker and nowhere else.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from app.contract.envelope import ANONYMOUS_PREFIX, Rejection
from app.contract.times import format_us
from app.contract.topics import FLAG_EVENT, SERVICE_TYPES
from app.edge.collectors.native import EVENT_BYTES
from app.edge.deliveries import Deliveries, now_us
from app.edge.intake import NATIVE, Arrival, take_native
from app.edge.keeper import Keeper
from app.edge.limits import Rates
from app.edge.record import Record
from app.edge.refusal import RefusalError
from app.edge.replies import Expected, Replies
from app.edge.rules import Caller, Rules
from app.edge.served import Served, from_journal, from_policies
from app.edge.tokens import TokenKeys

DEADLINE_MAX_MS = 10_000
# Statuses of a journal record that decided nothing since it could not, and what is then said.
UNDECIDED = {"duplicate": "duplicate", "rejected": "rejected"}


async def _never() -> bool:
    return False


class Asked(NamedTuple):
    """Who asks, since when, and how long it will wait. gone: whether the one who asked is still there, asked at the end.

    user_token: whose decisions these may be (tokens.py), where the key asks for that.
    """

    caller: Caller
    received_us: int
    deadline_ms: int | None = None
    gone: Callable[[], Awaitable[bool]] = _never
    user_token: str | None = None


class Decider:
    """One for each edge."""

    def __init__(
        self,
        current_rules: Callable[[], Rules],
        keeper: Keeper,
        replies: Replies,
        deliveries: Deliveries,
        tokens: TokenKeys,
        rates: Rates,
        margin_ms: int,
    ) -> None:
        self._current_rules = current_rules
        self._keeper = keeper
        self._replies = replies
        self._deliveries = deliveries
        self._tokens = tokens
        self._rates = rates
        self._margin_ms = margin_ms

    async def decide(self, envelope: dict[str, Any], asked: Asked) -> Served | Rejection:
        """See the module. `envelope` is completed in place: an event_id and a ts where it has none."""
        rules = self._current_rules()
        self._deliveries.admit()
        self._rates.take(asked.caller, 1)
        name = envelope.get("event_name")
        if isinstance(name, str) and name in SERVICE_TYPES:
            return Rejection("not_a_signal", f"nothing is decided on event_name {name!r}; send it to /v1/events")
        envelope.setdefault("event_id", str(uuid.uuid4()))
        envelope.setdefault("ts", format_us(asked.received_us))
        arrival = Arrival(NATIVE, asked.received_us, asked.caller.is_server, EVENT_BYTES)
        taken = take_native([envelope], arrival, rules)
        (record,) = taken.records
        if taken.rejected:
            await self._keeper.keep(taken.records)
            return taken.rejected[0]
        assert record.key is not None
        self._prove(record.key.decode(), asked)
        deadline_ms = self._deadline_ms(str(name), asked, rules)
        signal = _Signal(str(name), record.event_id, record.key.decode(), deadline_ms, _flag_of(envelope))
        with self._replies.expected(signal.unit, signal.event_id) as expected:
            served = await self._in_time(signal, record, expected, asked, rules)
            if await asked.gone():
                served = _not_delivered(served)
            self._deliveries.add(served, envelope, now_us(), expected.request_id)
        return served

    def _prove(self, unit: str, asked: Asked) -> None:
        """RefusalError when the key is anybody's, the unit is a known user, and who asks does not show to be that user."""
        if asked.caller.is_server or not asked.caller.key.user_tokens or unit.startswith(ANONYMOUS_PREFIX):
            return
        found = self._tokens.user_of(asked.user_token) if asked.user_token else None
        if found is None or found[0] != unit:
            shown = "none was sent" if asked.user_token is None else "the one that was sent is another's, ended or not ours"
            raise RefusalError(
                "not_allowed",
                f"key {asked.caller.key_id} gives a user_id's decisions only for that user's token, and {shown}; "
                "your server gets one from POST /v1/user_tokens",
            )

    def _deadline_ms(self, name: str, asked: Asked, rules: Rules) -> int:
        wanted = asked.deadline_ms
        if wanted is None:
            budget_ms = rules.budgets_ms[name]
            return max(budget_ms - self._margin_ms, budget_ms // 2)
        if not 1 <= wanted <= DEADLINE_MAX_MS:
            raise RefusalError("malformed", f"deadline_ms is {wanted}; ask for 1 to {DEADLINE_MAX_MS}")
        return wanted

    async def _in_time(self, signal: "_Signal", record: Record, expected: Expected, asked: Asked, rules: Rules) -> Served:
        left_us = asked.received_us + signal.deadline_ms * 1_000 - now_us()
        kept = False
        try:
            async with asyncio.timeout(left_us / 1e6):
                headers = () if expected.reply_to is None else (expected.reply_to.header(),)
                await self._keeper.keep([record._replace(headers=headers)])
                kept = True
                if not self._keeper.is_direct:
                    return signal.fallback("spooled", rules)
                if expected.reply_to is None:
                    return signal.fallback("no_replies", rules)
                return self._as_committed(signal, *await expected.record(), rules)
        except TimeoutError:
            return signal.fallback("deadline" if kept else "unkept", rules)

    def _as_committed(self, signal: "_Signal", journal: Any, visible_us: int, rules: Rules) -> Served:
        why = UNDECIDED.get(journal["status"])
        if why is not None:
            return signal.fallback(why, rules)._replace(status=journal["status"], visible_us=visible_us)
        return Served(
            event_id=signal.event_id,
            unit=journal["unit"],
            source="journal",
            why=None,
            deadline_ms=signal.deadline_ms,
            decisions=from_journal(journal, self._tokens.exposure),
            status=journal["status"],
            visible_us=visible_us,
        )


def _flag_of(envelope: Mapping[str, Any]) -> str | None:
    """The one flag that an evaluation asks for, as the engine reads it."""
    properties = envelope.get("properties")
    if envelope.get("event_name") != FLAG_EVENT or not isinstance(properties, Mapping):
        return None
    return properties.get("flag")


class _Signal(NamedTuple):
    """flag: of all policies that the event triggers, the one that is asked for; None: all."""

    name: str
    event_id: str
    unit: str
    deadline_ms: int
    flag: str | None

    def fallback(self, why: str, rules: Rules) -> Served:
        triggered = rules.policies.get(self.name, ())
        decisions = from_policies(policy for policy in triggered if self.flag in (None, policy.key))
        return Served(self.event_id, self.unit, "fallback", why, self.deadline_ms, decisions)


def _not_delivered(served: Served) -> Served:
    """Of what nobody was there to take."""
    decisions = tuple(decision._replace(served="none") for decision in served.decisions)
    return served._replace(why="client_gone", decisions=decisions)
