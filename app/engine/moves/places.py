"""Where a record of a unit is served: the table of the package's docstring as code. Pure: reads rows, writes none."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from app.engine.moves.arrivals import away, lives_here, progress_of
from app.engine.topology import Topology, forerunner, way
from app.engine.values import State, Via

Stand = Literal["home", "arriving", "leaving", "former", "stranger"]


class Visit(NamedTuple):
    """A record of `unit` in partition group `group`. way: the unit's. via: how it came, None when it was appended here."""

    unit: str
    group: int
    way: list[int]
    via: Via | None
    state: State
    topology: Topology


class Verdict(NamedTuple):
    """to None: served here. gives_up: the unit goes with the record. asks: this group waits for the record to come back."""

    to: int | None
    gives_up: bool = False
    asks: bool = False


SERVE = Verdict(None)


def verdict(unit: str, group: int, via: Via | None, state: State, topology: Topology) -> Verdict:
    """What becomes of a record of `unit` here."""
    visit = Visit(unit, group, way(unit, topology), via, state, topology)
    return _TABLE[stand(visit.way, group, topology)](visit)


def stand(places: list[int], group: int, topology: Topology) -> Stand:
    """Where `group` stands on a unit's way."""
    if group not in places:
        return "stranger"
    moves = topology.moving and len(places) > 1 and places[-1] >= topology.previous
    if group == places[-1]:
        return "arriving" if moves else "home"
    return "leaving" if moves and group == places[-2] else "former"


def _home(visit: Visit) -> Verdict:
    return SERVE


def _arriving(visit: Visit) -> Verdict:
    old_home = forerunner(visit.group, visit.topology)
    if visit.via is not None and visit.via.sender == old_home:
        return SERVE
    known = lives_here(visit.state, visit.unit) or progress_of(visit.state, visit.topology.newest).ended
    return SERVE if known and not away(visit.state, visit.unit) else Verdict(old_home, asks=True)


def _leaving(visit: Visit) -> Verdict:
    new_home = visit.way[-1]
    if not lives_here(visit.state, visit.unit):
        return Verdict(new_home)
    asked = visit.via is not None and visit.via.sender == new_home
    return Verdict(new_home, gives_up=True) if asked else SERVE


def _former(visit: Visit) -> Verdict:
    return Verdict(visit.way[visit.way.index(visit.group) + 1])


def _stranger(visit: Visit) -> Verdict:
    return SERVE if lives_here(visit.state, visit.unit) else Verdict(visit.way[0])


_TABLE: dict[Stand, Callable[[Visit], Verdict]] = {
    "home": _home,
    "arriving": _arriving,
    "leaving": _leaving,
    "former": _former,
    "stranger": _stranger,
}
