"""What a point of the audit says: a verdict, why, and the records that show it."""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

Verdict = Literal["PASS", "FAIL", "NOT SHOWN"]
# Of each point; the count says how many there are in all.
SHOWN_RECORDS = 10


class Place(NamedTuple):
    """Where a record lies. topic: the contract's name."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


class Evidence(NamedTuple):
    """A record, and what it shows."""

    place: Place
    shows: str


class Point(NamedTuple):
    """faults: how many records speak against it; evidence: the first of them, or of those that speak for it."""

    number: int
    title: str
    verdict: Verdict
    why: str
    faults: int
    evidence: tuple[Evidence, ...]

    def as_json(self) -> dict[str, Any]:
        evidence = [{"place": str(e.place), **e.place._asdict(), "shows": e.shows} for e in self.evidence]
        return {**self._asdict(), "evidence": evidence}


class Said(NamedTuple):
    """What a check found: the point without its number and title."""

    verdict: Verdict
    why: str
    faults: int = 0
    evidence: tuple[Evidence, ...] = ()


def failed(why: str, faults: Iterable[Evidence]) -> Said:
    found = list(faults)
    return Said("FAIL", f"{why} ({len(found):,})", len(found), tuple(found[:SHOWN_RECORDS]))


def passed(why: str, examples: Iterable[Evidence] = ()) -> Said:
    return Said("PASS", why, 0, tuple(examples)[:SHOWN_RECORDS])


def not_shown(why: str) -> Said:
    return Said("NOT SHOWN", why)
