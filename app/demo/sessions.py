"""The generated half of the demo's input: users' sessions with all event types, and the faults that real senders make.

A pure function of (seed, users): no clock, no ids of chance. Each fault says what must become of it, so that the run can be
checked against what was planned. Refuses nothing.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from app.contract.ids import uuid_of

Event = dict[str, Any]

# Sessions that go on at the same time: a session's events are then some hundred milliseconds apart at the demo's rate.
OPEN_SESSIONS = 64
SECOND_SESSION = 0.3
ANONYMOUS_START = 0.08
DUPLICATE = 0.02
LATE = 0.02
FAULTY = 0.012
LATE_MS = 2_000

PLANS = ("Fixed weekly rate", "Pay as you go", None)
FEATURES = ("editor_opened", "export_clicked", "invite_teammate", "search_used")


class Planned(NamedTuple):
    """One record to send (`copies` times, the same bytes). The sender adds the times.

    late_ms: how long ago a trusted edge received it. ts_shift_seconds: by how much its ts is wrong. raw: bytes instead.
    rejection: the code with which it must come back, None for a good record.
    """

    event_name: str
    key: bytes
    event: Event
    copies: int = 1
    late_ms: int = 0
    ts_shift_seconds: int = 0
    raw: bytes | None = None
    rejection: str | None = None


def plan_sessions(seed: int, users: int) -> Iterator[Planned]:
    """Every session's records in its own order, the sessions interleaved; the faults take turns, about one in 80 records."""
    chance = random.Random(seed)
    waiting = [(user, number) for user in range(users) for number in range(1 + (chance.random() < SECOND_SESSION))]
    chance.shuffle(waiting)
    waiting.reverse()
    created: set[int] = set()
    going: list[Iterator[Planned]] = []
    faults = _faults(chance)
    while waiting or going:
        while waiting and len(going) < OPEN_SESSIONS:
            going.append(_session(random.Random(f"{seed}/{waiting[-1]}"), seed, *waiting.pop(), created))
        chosen = chance.randrange(len(going))
        planned = next(going[chosen], None)
        if planned is None:
            going.pop(chosen)
            continue
        yield from _with_faults(planned, chance, faults)


# --- one session ---------------------------------------------------------------------------------------------------------


class _Visitor(NamedTuple):
    unit: str
    base: Event
    ids: Iterator[str]

    def does(self, event_name: str, route: str, **properties: Any) -> Planned:
        event = {"event_name": event_name, "event_id": next(self.ids), **self.base, "properties": properties}
        event["context"] = {"route": route, **self.base["context"]}
        return Planned(event_name, self.unit.encode(), event)


def _session(chance: random.Random, seed: int, user: int, number: int, created: set[int]) -> Iterator[Planned]:
    """created: users who have their first project; a project is created once."""
    unit = f"u-{user:05}"
    device = {"device": chance.choice(("web", "web", "mobile")), "locale": chance.choice(("en-US", "de-DE", "ja-JP"))}
    base: Event = {
        "user_id": unit,
        "session_id": f"s-{user:05}-{number}",
        "org": f"org-{user % 97}",
        "pricing_model": chance.choice(PLANS),
        "source": "edge",
        "context": device,
    }
    visitor = _Visitor(unit, base, _ids(f"{seed}/{user}/{number}"))
    if chance.random() < ANONYMOUS_START:
        anonymous = base | {"user_id": None, "anonymous_id": f"a-{user:05}"}
        yield _Visitor(f"anon:a-{user:05}", anonymous, visitor.ids).does("page_view", "/pricing", title="Pricing")
    route = "/app/onboarding" if chance.random() < 0.75 else "/app/home"
    yield visitor.does("page_view", route, title="Welcome")
    yield from _work(visitor, chance)
    if user not in created and chance.random() < 0.3:
        created.add(user)
        yield visitor.does("activation_milestone", "/app/project", name="project_created")
    elif chance.random() < 0.15:
        yield visitor.does("activation_milestone", "/app/profile", name="profile_completed")
    if chance.random() < 0.3:
        name = "plan_compare_opened" if chance.random() < 0.7 else "checkout_started"
        yield visitor.does("billing_intent", "/app/plans", name=name, amount=round(chance.uniform(5, 200), 2))
    if chance.random() < 0.03:
        yield visitor.does("support_contact", "/help", channel="chat")
    if chance.random() < 0.5:
        yield visitor.does("page_view", "/app/onboarding/next", title="Next steps")


def _work(visitor: _Visitor, chance: random.Random) -> Iterator[Planned]:
    for _ in range(chance.randint(1, 3)):
        feature = chance.choice(FEATURES)
        yield visitor.does("feature_used", "/app/editor", name=feature)
        if feature == "export_clicked" and chance.random() < 0.6:
            yield visitor.does("error_or_latency", "/app/editor", kind="slow_export", elapsed_ms=chance.randint(2_000, 9_000))
        elif chance.random() < 0.12:
            yield visitor.does("error_or_latency", "/app/editor", kind="timeout", elapsed_ms=chance.randint(5_000, 30_000))


def _ids(name: str) -> Iterator[str]:
    number = 0
    while True:
        yield uuid_of(f"demo/{name}/{number}")
        number += 1


# --- faults --------------------------------------------------------------------------------------------------------------


def _with_faults(planned: Planned, chance: random.Random, faults: Iterator["Fault"]) -> Iterator[Planned]:
    luck = chance.random()
    if luck < DUPLICATE:
        yield planned._replace(copies=2)
    elif luck < DUPLICATE + LATE:
        yield planned._replace(late_ms=LATE_MS)
    else:
        yield planned
    if chance.random() < FAULTY:
        yield next(faults)(planned)


Fault = Callable[[Planned], Planned]


def _faults(chance: random.Random) -> Iterator[Fault]:
    """Each in turn, in an order of chance."""
    order = list(FAULTS.values())
    chance.shuffle(order)
    while True:
        yield from order


def _changed(planned: Planned, rejection: str, **changes: Any) -> Planned:
    """The same sender's next record, with something wrong in it."""
    event = planned.event | {"event_id": uuid_of(f"{planned.event['event_id']}/{rejection}")} | changes
    return planned._replace(event=event, rejection=rejection)


def _without_ts(planned: Planned) -> Planned:
    return _changed(planned, "missing_field")._replace(raw=b'{"event_name":"page_view","event_id":"e-1","user_id":"u-1"}')


def _milestone_without_name(planned: Planned) -> Planned:
    changed = _changed(planned, "invalid_field", event_name="activation_milestone", properties={})
    return changed._replace(event_name="activation_milestone")


def _conflict(planned: Planned) -> Planned:
    """The id of the record before, with other content."""
    return planned._replace(event=planned.event | {"session_id": "another"}, rejection="event_id_conflict")


def _on_another_topic(planned: Planned) -> Planned:
    elsewhere = "feature_used" if planned.event_name != "feature_used" else "page_view"
    return _changed(planned, "wrong_topic")._replace(event_name=elsewhere)


FAULTS: dict[str, Fault] = {
    "cut off": lambda p: _changed(p, "malformed_json")._replace(raw=b'{"event_name":"page_view","event_id":'),
    "a list": lambda p: _changed(p, "not_an_object")._replace(raw=b'["page_view"]'),
    "too deep": lambda p: _changed(p, "too_deep")._replace(raw=b'{"a":' * 200 + b"1" + b"}" * 200),
    "no ts": _without_ts,
    "wrong type": lambda p: _changed(p, "invalid_field", user_id=42),
    "nobody": lambda p: _changed(p, "missing_user", user_id=None, anonymous_id=None),
    "reserved": lambda p: _changed(p, "reserved_user_id", user_id="anon:u-1"),
    "unknown type": lambda p: _changed(p, "unknown_event_type", event_name="page_viewed"),
    "other topic": _on_another_topic,
    "other key": lambda p: _changed(p, "key_mismatch")._replace(key=b"somebody"),
    "future": lambda p: _changed(p, "future_ts")._replace(ts_shift_seconds=86_400),
    "ancient": lambda p: _changed(p, "ancient_ts")._replace(ts_shift_seconds=-500 * 86_400),
    "oversized": lambda p: _changed(p, "oversized", properties={"blob": "x" * 1_100_000}),
    "no milestone name": _milestone_without_name,
    "conflict": _conflict,
}
