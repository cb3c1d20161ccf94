"""What clients send: signals of every kind, repeated, late and bad ones, and acknowledgements of what was decided. Seeded.

The choice of records is the seed's and so are the event ids, so that one input is known again wherever it turns up.
(Acknowledgements follow what was really decided.)
"""

import itertools
import random
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

from app.contract.times import SECOND_US, format_us
from app.contract.topics import EXPERIMENT_EXPOSURE, event_name_of

Event = dict[str, Any]

KINDS = {
    "page_view": 10, "feature_used": 6, "error_or_latency": 3, "activation_milestone": 2, "billing_intent": 2,
    "flag_evaluation": 1, "repeat": 2, "late": 1, "bad": 1, "acknowledgement": 3,
}  # fmt: skip
PROPERTIES = {
    "activation_milestone": {"name": "invite_sent"},
    "feature_used": {"name": "invite_teammate"},
    "billing_intent": {"name": "plan_compare_opened", "amount": 12.5},
}
# What a repeat and an acknowledgement may be of: the last ones.
REMEMBERED = 200
# Past every budget of the drill's catalogue.
LATE_US = 120 * SECOND_US
CENTURY_US = 100 * 365 * 86_400 * SECOND_US
WRONG_VARIANT = 0.2


class Sent(NamedTuple):
    """One record on its way. key None: none."""

    event_name: str
    key: str | None
    value: bytes


def now_us() -> int:
    return time.time_ns() // 1000


def envelope(event_name: str, user: str | None, event_id: str | None = None, **fields: Any) -> Event:
    """A sound signal of now."""
    return {
        "event_name": event_name,
        "event_id": event_id or str(uuid.uuid4()),
        "user_id": user,
        "session_id": f"s-{user}",
        "ts": format_us(now_us()),
        "properties": PROPERTIES.get(event_name, {}),
        "context": {"route": "/app/onboarding", "device": "web"},
    } | fields


def acknowledgement(unit: str, decision: dict[str, Any], **experiment: Any) -> Event:
    """That the slot of `decision` was rendered."""
    shown = {
        "key": decision["policy"],
        "variant": decision["variant"],
        "assignment_id": decision["assignment_id"],
        "rule_version": decision["rule_version"],
    }
    return envelope(
        "experiment_exposure", unit,
        experiment=shown | experiment, governance={"owner": "growth", "rollback_flag": f"ff_{decision['policy']}"},
        properties={"surface": "page", "rendered_ts": format_us(now_us()), "decision_to_render_ms": 40.5},
    )  # fmt: skip


# What is wrong with a page view -> its bytes.
BAD: dict[str, Callable[[Event], bytes]] = {
    "cut off": lambda event: orjson.dumps(event)[:40],
    "a list": lambda event: orjson.dumps([event]),
    "no UTF-8": lambda _: b"\xff\xfe",
    "empty": lambda _: b"",
    "no ts": lambda event: orjson.dumps({name: value for name, value in event.items() if name != "ts"}),
    "a number for a name": lambda event: orjson.dumps(event | {"session_id": 7}),
    "nobody": lambda event: orjson.dumps(event | {"user_id": None}),
    "another user's": lambda event: orjson.dumps(event | {"user_id": "somebody"}),
    "unknown type": lambda event: orjson.dumps(event | {"event_name": "no_such_type"}),
    "of the future": lambda event: orjson.dumps(event | {"ts": format_us(now_us() + CENTURY_US)}),
}


class Records:
    """An endless iterator. skew: the exponent of Zipf's law over the users; 0: all alike."""

    def __init__(self, seed: int, users: int, skew: float = 0.0) -> None:
        self._random = random.Random(seed)
        self._users = [f"u-{number}" for number in range(users)]
        self._user_weights = list(itertools.accumulate((number + 1) ** -skew for number in range(users)))
        self._kinds = list(KINDS)
        self._kind_weights = list(itertools.accumulate(KINDS.values()))
        self._bad = list(BAD.values())
        self._last: deque[Sent] = deque(maxlen=REMEMBERED)
        self._shown: deque[tuple[str, dict[str, Any]]] = deque(maxlen=REMEMBERED)

    def __iter__(self) -> Iterator[Sent]:
        while True:
            yield self.one()

    def one(self) -> Sent:
        (kind,) = self._random.choices(self._kinds, cum_weights=self._kind_weights)
        (user,) = self._random.choices(self._users, cum_weights=self._user_weights)
        if kind == "repeat" and self._last:
            return self._random.choice(self._last)
        if kind == "acknowledgement" and self._shown:
            return self._acknowledgement()
        if kind == "bad":
            return Sent("page_view", user, self._random.choice(self._bad)(self._event("page_view", user)))
        if kind == "late":
            return self._signal("page_view", user, source="edge", received_ts=format_us(now_us() - LATE_US))
        return self._signal("page_view" if kind in ("repeat", "acknowledgement") else kind, user)

    def shown(self, body: dict[str, Any]) -> None:
        """A journal record: what it shows may be acknowledged."""
        for decision in body["decisions"]:
            if decision["action"] is not None and decision["variant"] is not None:
                self._shown.append((body["unit"], decision))

    def _event(self, event_name: str, user: str, **fields: Any) -> Event:
        return envelope(event_name, user, str(uuid.UUID(int=self._random.getrandbits(128), version=4)), **fields)

    def _signal(self, event_name: str, user: str, **fields: Any) -> Sent:
        sent = Sent(event_name, user, orjson.dumps(self._event(event_name, user, **fields)))
        self._last.append(sent)
        return sent

    def _acknowledgement(self) -> Sent:
        unit, decision = self._random.choice(self._shown)
        wrong = {"variant": "Z"} if self._random.random() < WRONG_VARIANT else {}
        return Sent(event_name_of(EXPERIMENT_EXPOSURE), unit, orjson.dumps(acknowledgement(unit, decision, **wrong)))
