"""The naive dashboard: conversions over whatever it takes for users, one test, no questions asked."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]


class Dashboard(NamedTuple):
    """Two arms as they are charted, one entry a repetition: conversions and what they are divided by."""

    control: Floats
    control_of: Floats
    treatment: Floats
    treatment_of: Floats

    @property
    def difference(self) -> Floats:
        return self.treatment / self.treatment_of - self.control / self.control_of

    @property
    def p(self) -> Floats:
        """Two-sided, of the usual test of two proportions (pooled)."""
        pooled = (self.control + self.treatment) / (self.control_of + self.treatment_of)
        error = np.sqrt(pooled * (1 - pooled) * (1 / self.control_of + 1 / self.treatment_of))
        return np.asarray(2 * ndtr(-np.abs(self.difference) / error))


def charted(treated: ArrayLike, counted: ArrayLike, conversions: ArrayLike) -> Dashboard:
    """treated: which rows the dashboard takes for B; counted: how many times each row counts; conversions: whether it did.
    Shape of each: (repetitions, rows)."""
    is_b, times, done = (np.asarray(values, dtype=np.float64) for values in (treated, counted, conversions))
    sums = [(weight * part).sum(axis=1) for weight in (1 - is_b, is_b) for part in (times * done, times)]
    return Dashboard(*sums)
