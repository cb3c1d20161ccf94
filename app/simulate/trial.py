"""A trap, played many times: how often the naive eye is fooled, how often our own analysis errs, how often its alarm fires."""

from typing import NamedTuple

import numpy as np

from app.analysis.alarms import alarms, invalid
from app.analysis.effect import effect
from app.simulate.people import draw
from app.simulate.trap import Trap, World
from app.simulate.written import recorded

LEVEL = 0.05
# Repetitions at a time: so many people are held in memory.
PEOPLE_AT_A_TIME = 400_000


class Tried(NamedTuple):
    """Of one world. Shares of the repetitions. naive_difference, difference: means of the estimates.

    wins, naive_loses: B is found better by us, worse by the dashboard. claims: our rejections where no alarm has taken the
    verdict away; named: the trap's own alarm fired; invalid: any that takes the verdict away did.
    """

    naive_rejects: float
    naive_difference: float
    rejects: float
    difference: float
    wins: float
    naive_loses: float
    claims: float
    named: float
    invalid: float


class Outcome(NamedTuple):
    trap: Trap
    repetitions: int
    seed: int
    worlds: dict[World, Tried]

    @property
    def naive_rejects(self) -> float:
        return self.worlds["tempted"].naive_rejects

    @property
    def rejects(self) -> float:
        """Ours, with nothing to be found: tempted, or where then nothing is claimed at all, without the trap."""
        return self.worlds["clean" if self.trap.refuses else "tempted"].rejects

    @property
    def fires(self) -> float | None:
        return None if self.trap.alarm is None else self.worlds["broken"].named

    @property
    def false_alarms(self) -> float | None:
        return None if self.trap.alarm is None else self.worlds["clean"].named


def tried(trap: Trap, repetitions: int, seed: int) -> Outcome:
    """The same seed gives the same figures."""
    worlds: tuple[World, ...] = ("tempted", "broken", "clean", *(("lifted",) if trap.lift else ()))
    return Outcome(trap, repetitions, seed, {world: _tried(trap, repetitions, seed, world) for world in worlds})


def _tried(trap: Trap, repetitions: int, seed: int, world: World) -> Tried:
    # A stream of its own for each world: none depends on which others are played.
    random = np.random.default_rng([seed, *map(ord, trap.name), *map(ord, world)])
    rows = [row for size in _pieces(trap, repetitions) for row in _piece(trap, random, size, world)]
    return Tried(*(float(mean) for mean in np.mean(np.array(rows), axis=0)))


def _pieces(trap: Trap, repetitions: int) -> list[int]:
    size = max(1, PEOPLE_AT_A_TIME // trap.people)
    return [min(size, repetitions - begun) for begun in range(0, repetitions, size)]


def _piece(trap: Trap, random: np.random.Generator, repetitions: int, world: World) -> list[tuple[float, ...]]:
    people = draw(random, repetitions, trap.people)
    if world == "lifted":
        people = people._replace(rate=people.rate * (1 + np.float32(trap.lift) * people.treated))
    played = trap.play(people, random, world)
    naive = zip(played.dashboard.p, played.dashboard.difference, strict=True)
    rows: list[tuple[float, ...]] = []
    for (naive_p, naive_difference), one in zip(naive, recorded(played.written, trap.found), strict=True):
        found = effect(one.control, one.treatment, "binary", LEVEL)
        readings = alarms(one.facts)
        taken_away = invalid(readings, "verdict") is not None
        rejects = found is not None and found.p < LEVEL
        rows.append(
            (
                float(naive_p < LEVEL),
                float(naive_difference),
                float(rejects),
                0.0 if found is None else found.difference,
                float(found is not None and rejects and found.difference > 0),
                float(naive_p < LEVEL and naive_difference < 0),
                float(rejects and not taken_away),
                float(any(reading.fires and reading.name == trap.alarm for reading in readings)),
                float(taken_away),
            )
        )
    return rows
