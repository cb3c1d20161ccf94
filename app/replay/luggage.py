"""What a what-if carries from one partition to another, where the journal says that a unit moved: its rows and its fates.

Under a proposal a unit may leave with other rows than it did, and it is counted once, in the partition that it ends in.
"""

from typing import NamedTuple

from app.contract.links import Move, read_link
from app.contract.topics import IDENTITY_LINKS
from app.engine.values import InputRecord, Step
from app.replay.whatif_report import Fate

Fates = dict[str, Fate]  # by policy


class Carried(NamedTuple):
    recorded: Fates
    proposed: Fates


class Luggage:
    """Shared by the partitions of one what-if, which come in ascending order: a unit only moves to a higher one."""

    def __init__(self) -> None:
        self._links: dict[str, bytes] = {}
        self._fates: dict[str, Carried] = {}

    def send(self, step: Step) -> None:
        """The rows that go, as the proposal left them."""
        for output in step.outputs:
            link = read_link(output.value) if output.topic == IDENTITY_LINKS else None
            if isinstance(link, Move):
                self._links[link.link_id] = output.value

    def received(self, record: InputRecord) -> InputRecord:
        """A link with the rows that were sent under the proposal; any other record as it is."""
        if record.topic != IDENTITY_LINKS:
            return record
        link = read_link(record.value)
        sent = self._links.pop(link.link_id, None) if isinstance(link, Move) else None
        return record if sent is None else record._replace(value=sent)

    def leave(self, unit: str, fates: Carried) -> None:
        self._fates[unit] = fates

    def arrive(self, unit: str) -> Carried | None:
        return self._fates.pop(unit, None)
