"""A trap: a world that fools, the same world without it, and what of it goes past the design."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from app.analysis.experiment import Experiment
from app.simulate.dashboard import Dashboard
from app.simulate.people import People
from app.simulate.written import Written

# tempted: as it is in the field, with the design as it should be. broken: something of the client or of the installation goes
# past the design, which an alarm must say. clean: neither. lifted: tempted, and B is really better.
World = Literal["tempted", "broken", "clean", "lifted"]


class Played(NamedTuple):
    """dashboard: what the naive eye sees; written: what Truelift's log holds."""

    dashboard: Dashboard
    written: Written


class Trap(NamedTuple):
    """naive, truth, ours: in words. alarm: the name of the one that must fire when it is broken; None where none is needed,
    since the design takes the trap out of every figure. refuses: tempted, nothing may be claimed at all, and the alarm says so.
    lift: of the lifted world, relative; 0 where there is none.
    """

    name: str
    naive: str
    truth: str
    ours: str
    alarm: str | None
    refuses: bool
    people: int
    found: Experiment
    play: Callable[[People, np.random.Generator, World], Played]
    lift: float = 0.0
