"""One trap as its people live it: who they are, which arm the policy's own hash draws for them, and the events that they send.

Owns names and envelopes. Refuses to decide anything: the arms that the worker gives are held against these afterwards.
"""

import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from app.contract.envelope import ANONYMOUS_PREFIX
from app.contract.times import SECOND_US, format_us
from app.engine.bucketing import hash_unit
from app.simulate.people import DEVICES, HALF, Floats, draw
from app.simulate.pipeline.rules import LATE_SECONDS, PRIMARY_EVENT, TRIGGER_EVENT
from app.simulate.trap import Played, Trap, World

# A place of the hash has four digits: half a step keeps a place on its side when it is read from the other end.
HALF_STEP = 0.5e-4
SOURCE = "edge"
ROUTE = "/simulated"
Event = dict[str, Any]
# Of these a client alone can break the design; what the pipeline itself refuses (a reroll, a second exposure) cannot be sent.
BROKEN_BY_CLIENTS = frozenset({"inferred-exposure"})


class Person(NamedTuple):
    """user: None where nobody logs in on the device. device: None where there is nothing but the user."""

    user: str | None
    device: str | None
    kind: str
    stratum: int
    late: bool
    visits: int
    renders: int
    converts: bool

    @property
    def unit(self) -> str:
        """Whom the assignment is drawn for."""
        return f"{ANONYMOUS_PREFIX}{self.device}" if self.device is not None else str(self.user)

    @property
    def known_as(self) -> str:
        """In the end."""
        return self.user if self.user is not None else self.unit


class Script(NamedTuple):
    """people: those whom the log gets to know. played: the same people on the direct way, one repetition."""

    key: str
    trap: Trap
    world: World
    played: Played
    people: list[Person]


def scripts_of(trap: Trap, size: int, seed: int) -> Iterator[Script]:
    yield script(trap, "tempted", size, seed)
    if trap.name in BROKEN_BY_CLIENTS:
        yield script(trap, "broken", size, seed)


def script(trap: Trap, world: World, size: int, seed: int) -> Script:
    """The same seed gives the same people with the same arms."""
    key = f"{trap.name}_{world}".replace("-", "_")
    random = np.random.default_rng([seed, *map(ord, key)])
    drawn = draw(random, 1, size)
    of_devices = trap.play(drawn, random, world).written.logs_in is not None
    names = [f"{key}-{number}" for number in range(size)]
    lots = _lots(key, [f"{ANONYMOUS_PREFIX}{name}" if of_devices else name for name in names])
    played = trap.play(drawn._replace(lot=lots, treated=lots < HALF), random, world)
    return Script(key, trap, world, played, list(_people(played, names)))


def _lots(seed: str, units: list[str]) -> Floats:
    """The policy's hash, read from the end that B is at."""
    places = [hash_unit(seed, unit, 2) for unit in units]
    return np.array([[1 - HALF_STEP - (place or 0.0) for place in places]], dtype=np.float32)


def _people(played: Played, names: list[str]) -> Iterator[Person]:
    written = played.written
    for i, name in enumerate(names):
        if not written.there[0, i]:
            continue
        of_device = written.logs_in is not None
        logs_in = written.logs_in is None or bool(written.logs_in[0, i])
        yield Person(
            user=f"user-{name}" if of_device and logs_in else None if of_device else name,
            device=name if of_device else None,
            kind=DEVICES[int(written.device[0, i])],
            stratum=int(written.stratum[0, i]),
            late=bool(written.late[0, i]),
            visits=1 if written.visits is None else int(written.visits[0, i]),
            renders=_renders(played, i),
            converts=bool(written.converted[0, i]),
        )


def _renders(played: Played, i: int) -> int:
    written = played.written
    if not written.shown[0, i]:
        return 0
    return 1 if written.renders is None else int(written.renders[0, i])


# --- what they send --------------------------------------------------------------------------------------------------------


def view(person: Person, now_us: int) -> Event:
    """The trigger. Late: an edge received it so long ago that its budget is over."""
    event = _event(TRIGGER_EVENT, person, person.device is not None, now_us)
    if person.late:
        received = format_us(now_us - LATE_SECONDS * SECOND_US)
        event |= {"ts": received, "received_ts": received, "source": SOURCE}
    return event


def login(person: Person, now_us: int) -> Event:
    return _event("identify", person, False, now_us) | {"anonymous_id": person.device}


def intent(person: Person, event_name: str, now_us: int) -> Event:
    return _event(event_name, person, person.user is None, now_us)


def conversion(person: Person, now_us: int) -> Event:
    return _event(PRIMARY_EVENT, person, person.user is None, now_us)


def acknowledgement(person: Person, decision: Event, now_us: int) -> Event:
    """Of the unit that the assignment was made for, by the same code for every arm."""
    shown = {"key": decision["policy"], **{name: decision[name] for name in ("variant", "assignment_id", "rule_version")}}
    return _event("experiment_exposure", person, person.device is not None, now_us) | {
        "experiment": shown,
        "governance": {"owner": "growth", "rollback_flag": "ff"},
        "properties": {"surface": "s", "rendered_ts": format_us(now_us), "decision_to_render_ms": 40.0},
    }


def key_of(event: Event) -> bytes:
    """As an edge keys it."""
    device, user = event.get("anonymous_id"), event["user_id"]
    of_device = device is not None and (user is None or event["event_name"] == "identify")
    return (f"{ANONYMOUS_PREFIX}{device}" if of_device else str(user)).encode()


def _event(event_name: str, person: Person, as_device: bool, now_us: int) -> Event:
    who = {"user_id": None, "anonymous_id": person.device} if as_device else {"user_id": person.user}
    return {
        "event_name": event_name,
        "event_id": str(uuid.uuid4()),
        **who,
        "session_id": f"s-{person.unit}",
        "ts": format_us(now_us),
        "properties": {},
        "context": {"route": ROUTE, "device": person.kind, "locale": "en-US"},
    }
