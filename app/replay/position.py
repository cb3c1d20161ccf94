"""Where a replay of one partition stands, between two journal records: what is next of everything that it reads.

A replay begins at BEGINNING or at the position of a checkpoint; a checkpoint is made at the position that a replay has reached.
Inputs have offsets of their own each: one that was appended before the journal's newest input may be journalled after it.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Position(NamedTuple):
    """Offsets that are next, of the journal and by the contract's topic name; a topic that is absent is at its beginning.

    governance_offset: by which the last record was decided; -1 before the first. appended_us, decided_us: the newest so far.
    """

    journal: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    governance_offset: int
    appended_us: int
    decided_us: int


BEGINNING = Position(0, {}, {}, -1, 0, 0)
