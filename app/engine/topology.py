"""The partition counts that an installation has had, and where they put a unit: arithmetic alone.

A count is a multiple of the one before it, so that a unit's partition under a new count is one of those that split off from its
partition under the old one. `way` lists a unit's partitions in the order in which it lives in them.
"""

from typing import NamedTuple

from app.contract.partitions import unit_hash


class Topology(NamedTuple):
    """counts: oldest first, two at least; the last is in force or being moved to.

    since_us: the broker's time of the governance record with which units began to move; None once all have moved.
    """

    counts: tuple[int, ...]
    since_us: int | None = None

    @property
    def newest(self) -> int:
        return self.counts[-1]

    @property
    def previous(self) -> int:
        return self.counts[-2]

    @property
    def moving(self) -> bool:
        return self.since_us is not None


def way(unit: str, topology: Topology) -> list[int]:
    """The unit's partitions, one for each count that moved it: the last one is its home."""
    n = unit_hash(unit)
    places = [n % topology.counts[0]]
    for count in topology.counts[1:]:
        if n % count != places[-1]:
            places.append(n % count)
    return places


def successors(partition: int, topology: Topology) -> range:
    """The partitions that split off from `partition` under the newest count."""
    return range(partition + topology.previous, topology.newest, topology.previous)


def forerunner(partition: int, topology: Topology) -> int:
    """The partition that `partition` split off from under the newest count."""
    return partition % topology.previous
