"""Where the replay of each partition begins: at its beginning, or at a checkpoint that the governance log vouches for.

Owns the choice. A checkpoint is taken when it is asked for, or where retention has taken the beginning; never otherwise.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from app.contract.topics import JOURNAL
from app.reading import beginnings
from app.replay.checkpoints.file import load_section
from app.replay.checkpoints.manifest import Section
from app.replay.checkpoints.vouched import Vouched, latest, named, vouched
from app.replay.history import is_input
from app.replay.position import BEGINNING, Position
from app.replay.selection import OPEN, Bound
from app.replay.state import ReplayState
from app.settings import Settings

# What may be asked for in place of a file.
LATEST, NONE = "latest", "none"


class Start(NamedTuple):
    """section, path None: the beginning. digest: of the checkpoint."""

    section: Section | None = None
    path: Path | None = None
    digest: str | None = None

    @property
    def position(self) -> Position:
        return BEGINNING if self.section is None else self.section.position

    @property
    def records(self) -> int:
        """Journal records that lie before, all of them compared."""
        return 0 if self.section is None else self.section.records

    @property
    def name(self) -> str | None:
        return None if self.path is None else self.path.name

    def load(self, state: ReplayState) -> None:
        """The rows as they are here. OperatorError when the file does not hold them."""
        if self.section is not None and self.path is not None:
            load_section(self.path, self.section, state)


async def starts_of(
    settings: Settings, topics: Iterable[str], partitions: Sequence[int], first: Bound = OPEN, wanted: str | None = None
) -> dict[int, Start]:
    """A start for each of `partitions`. first: what must not lie before it.

    wanted: LATEST, a file's path, or NONE for the beginning, whatever is left of it. None: the beginning where it is there,
    else the newest checkpoint that is not past `first`, else the oldest.
    """
    begin = dict.fromkeys(partitions, Start())
    if wanted == NONE:
        return begin
    if wanted is not None:
        known = (await vouched(settings))[1]
        return begin | _starts_at(latest(settings, known) if wanted == LATEST else named(Path(wanted), known), partitions)
    gone = await _without_beginning(settings, topics, partitions)
    if not gone:
        return begin
    fitting, oldest = nearest((await vouched(settings))[1], gone, first)
    return begin | oldest | fitting


def nearest(known: Sequence[Vouched], partitions: Sequence[int], bound: Bound) -> tuple[dict[int, Start], dict[int, Start]]:
    """Of each partition the newest checkpoint that is not past `bound`; and the oldest that is. Of files that are here."""
    fitting: dict[int, Start] = {}
    past: dict[int, Start] = {}
    for checkpoint in known:
        left = [partition for partition in partitions if partition not in fitting]
        for partition, start in (_starts_at(checkpoint, left) if left and checkpoint.is_here else {}).items():
            (past if is_past(start.position, bound) else fitting)[partition] = start
    return fitting, past


def is_past(position: Position, bound: Bound) -> bool:
    if bound.offset is not None:
        return position.journal > bound.offset
    return bound.us is not None and position.decided_us >= bound.us


def _starts_at(checkpoint: Vouched, partitions: Sequence[int]) -> dict[int, Start]:
    """A partition that was added after the checkpoint begins at its beginning."""
    sections = checkpoint.manifest().sections
    return {
        partition: Start(sections[partition], checkpoint.path, checkpoint.digest)
        for partition in partitions
        if partition in sections
    }


async def _without_beginning(settings: Settings, topics: Iterable[str], partitions: Sequence[int]) -> list[int]:
    """Partitions of whose journal or inputs retention has taken something."""
    wanted = [settings.topic(name) for name in topics if name == JOURNAL or is_input(name)]
    begins = await beginnings(settings, [(topic, partition) for topic in wanted for partition in partitions])
    return [partition for partition in partitions if any(begins[topic, partition] for topic in wanted)]
