"""Drawn people: many repetitions of one experiment at once, a row each. Shape of every array: (repetitions, people)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Wholes = NDArray[np.int64]
Floats = NDArray[np.float32]

DEVICES = ("web", "ios", "android")
WEEKS = 4
HALF = 0.5
ENGAGED_SHARE, SLOW_SHARE = 0.4, 0.3
# Who is engaged converts more, who has a slow connection less: whatever selects by either is mistaken for an effect.
BASE_RATE, OF_ENGAGED, OF_SLOW = 0.10, 0.10, -0.06


class People(NamedTuple):
    """lot: the place on [0, 1) that was drawn; B are those below its share. treated: B, of halves. rate: the chance of a
    conversion without any treatment."""

    lot: Floats
    treated: Bools
    engaged: Bools
    slow: Bools
    device: Wholes
    week: Wholes
    rate: Floats

    @property
    def shape(self) -> tuple[int, int]:
        return self.treated.shape[0], self.treated.shape[1]


def draw(random: np.random.Generator, repetitions: int, people: int) -> People:
    shape = repetitions, people
    lot = random.random(shape, dtype=np.float32)
    engaged, slow = chance(random, shape, ENGAGED_SHARE), chance(random, shape, SLOW_SHARE)
    return People(
        lot,
        lot < HALF,
        engaged,
        slow,
        random.integers(0, len(DEVICES), shape),
        random.integers(0, WEEKS, shape),
        (BASE_RATE + OF_ENGAGED * engaged + OF_SLOW * slow).astype(np.float32),
    )


def chance(random: np.random.Generator, shape: tuple[int, int], share: float | Floats | NDArray[np.float64]) -> Bools:
    """True with that chance."""
    return np.asarray(random.random(shape, dtype=np.float32) < share)
