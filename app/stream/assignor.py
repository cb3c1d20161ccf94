"""Who owns which partition group: a group p is partition p of every input topic, and goes to one worker as a whole.

Owns: a sticky, balanced, deterministic assignment. Refuses: splitting a group, standbys, racks.
A worker keeps what it has up to its fair share, so a join or a leave moves as few groups (and restores as little) as it can.
Partitions that are added to the topics become groups when every worker has told that it can take them.
"""

# aiokafka has no types: its classes are Any here.
# mypy: allow-subclassing-any, no-warn-return-any

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

VERSION = 0


class PartitionGroupAssignor(AbstractPartitionAssignor):
    """One for each worker: it tells the leader what the worker has now, and how many groups it knows (None: as the topics)."""

    name = "truelift"

    def __init__(self, worker_id: str = "", groups: int | None = None) -> None:
        self.worker_id = worker_id
        self.groups = groups
        self.owned: list[int] = []

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        data = orjson.dumps({"worker": self.worker_id, "owned": self.owned, "groups": self.groups})
        return ConsumerProtocolMemberMetadata(VERSION, sorted(topics), data)

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        self.owned = sorted({tp.partition for tp in assignment.partitions()})

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        counts = {
            topic: len(cluster.partitions_for_topic(topic) or ())
            for topic in sorted({topic for member in members.values() for topic in member.subscription})
        }
        told = {member: _user_data(metadata.user_data) for member, metadata in members.items()}
        # By worker id where there is one: a member id changes with each restart.
        order = sorted(members, key=lambda member: (told[member].get("worker", ""), member))
        known = [data["groups"] for data in told.values() if data.get("groups") is not None]
        count = min([max(counts.values(), default=0), *known])
        groups = share(count, order, {member: told[member].get("owned", []) for member in order})
        return {
            member: ConsumerProtocolMemberAssignment(
                VERSION,
                [
                    (topic, [group for group in groups[member] if group < counts[topic]])
                    for topic in sorted(members[member].subscription)
                ],
                b"",
            )
            for member in order
        }


def share(count: int, members: list[str], owned: Mapping[str, Iterable[int]]) -> dict[str, list[int]]:
    """Partition groups 0..count-1 among `members`: sizes differ by one at most, each keeps of its own what its share allows."""
    least, more = divmod(count, len(members))
    free = set(range(count))
    groups: dict[str, list[int]] = {member: [] for member in members}
    for member in members:
        keep = [group for group in sorted(set(owned.get(member, ()))) if group in free][: least + 1]
        if len(keep) > least:
            # A share of least + 1 while there are any left.
            keep, more = (keep, more - 1) if more > 0 else (keep[:least], more)
        groups[member] = keep
        free.difference_update(keep)
    rest = sorted(free)
    for member in members:
        while len(groups[member]) < least:
            groups[member].append(rest.pop(0))
    for member in members:
        if rest and len(groups[member]) == least:
            groups[member].append(rest.pop(0))
    return {member: sorted(found) for member, found in groups.items()}


def _user_data(raw: bytes | None) -> dict[str, Any]:
    if not raw:
        return {}
    found = orjson.loads(raw)
    return found if isinstance(found, dict) else {}
