"""What travels between partitions while their count grows, followed over all of them: records that were sent on, and units.

Owns the sums that must come out even: each link that a journal names is in its topic once, each record that was sent on is
served once, each unit that left arrived, with the rows it left with. Owns what was given to units that are found again in
another partition. Partitions are followed in ascending order: a unit only ever moves to a higher one.

Memory: what does not come out even yet, and an entry for each policy of the units whose home is another partition by now.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from app.checker.places import home
from app.checker.tally import Tally

LINKS, JOURNAL = "identity_links", "decisions"
# Statuses of records that go on to another partition.
ON_THEIR_WAY = frozenset({"forwarded", "moved_out"})

GivenTo = Mapping[tuple[str, str], tuple[str, int]]  # (unit, policy) -> (variant, version)


class Place(NamedTuple):
    topic: str
    partition: int
    offset: int

    @classmethod
    def of(cls, named: Mapping[str, Any]) -> "Place":
        return cls(named["topic"], named["partition"], named["offset"])


class Travels:
    """counts: partition counts that the governance log tells of; () when they never changed."""

    def __init__(self, counts: tuple[int, ...], tally: Tally) -> None:
        self._counts = counts
        self._tally = tally
        self._links: Counter[tuple[str, int]] = Counter()
        self._away: Counter[Place] = Counter()
        self._moving: dict[tuple[str, int], tuple[str | None, int]] = {}  # (unit, to) -> (digest of its rows, journal offset)
        self._given: dict[tuple[str, str], tuple[str, int]] = {}
        self._asked: set[str] = set()

    # -- links and records

    def journalled(self, body: Mapping[str, Any]) -> None:
        for link in body.get("links", ()):
            self._add(self._links, (link["link_id"], link["partition"]), 1)
        origin, status = body.get("origin"), body["status"]
        if origin is None and status == "forwarded":
            self._add(self._away, Place.of(body["input"]), 1)
        elif origin is not None and status not in ON_THEIR_WAY:
            self._add(self._away, Place.of(origin), -1)

    def linked(self, link_id: str, partition: int) -> None:
        """A link as it lies in its topic, journalled there or not."""
        self._add(self._links, (link_id, partition), -1)

    # -- units

    def left(self, unit: str, to: int, digest: str | None, partition: int, offset: int) -> None:
        if (unit, to) in self._moving:
            self._tally.note("unit_duplicated", JOURNAL, partition, offset, f"{unit} left for {to} again without coming back")
        self._moving[unit, to] = digest, offset

    def arrived(self, unit: str, digest: str | None, partition: int, offset: int) -> None:
        expected = self._moving.pop((unit, partition), None)
        if expected is None:
            self._tally.note("unit_duplicated", JOURNAL, partition, offset, f"{unit} arrived and had not left")
        elif expected[0] != digest:
            what = f"{unit} left with rows of the digest {expected[0]}, arrived with {digest}"
            self._tally.note("unit_changed", JOURNAL, partition, offset, what)

    def given(self, unit: str, policy: str) -> tuple[str, int] | None:
        """What the unit was given in a partition that it has lived in before."""
        return self._given.get((unit, policy))

    def was_asked(self, unit: str) -> bool:
        """Whether a named holdout was asked about the unit in such a partition."""
        return unit in self._asked

    def leave(self, partition: int, given: GivenTo, asked: Iterable[str]) -> None:
        """A partition is done: what it knows of units whose home is another now is kept for there."""
        if self._counts:
            self._given |= {key: what for key, what in given.items() if home(key[0], self._counts) != partition}
            self._asked |= {unit for unit in asked if home(unit, self._counts) != partition}

    # -- the sums

    def finish(self, *, live: bool) -> None:
        """live: what is under way may still arrive."""
        for (link_id, partition), count in self._links.items():
            if count > 0:
                self._tally.note("link_lost", LINKS, partition, -1, f"link {link_id} is named by the journal and not there")
            else:
                what = f"link {link_id} is named {-count} times less than it is there"
                self._tally.note("link_unexplained", LINKS, partition, -1, what)
        for place, count in self._away.items():
            if count < 0:
                self._tally.note("duplicated", *place, f"served {1 - count} times where it was sent to")
            elif not live:
                self._tally.note("lost", *place, "sent on and served nowhere")
        for (unit, to), (_, offset) in () if live else self._moving.items():
            self._tally.note("unit_lost", JOURNAL, to, offset, f"{unit} left for partition {to} and did not arrive")

    @staticmethod
    def _add(counter: Counter[Any], key: Any, number: int) -> None:
        """What comes out even is forgotten."""
        counter[key] += number
        if not counter[key]:
            del counter[key]
