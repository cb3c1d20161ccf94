"""Pearson's chi-square of counts in rows and columns: does the row depend on the column?

Owns the test of independence and the least counts that it holds for. Refuses an answer from fewer: None, never a guess.
"""

from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import chdtrc

# Below it the counts are too coarse for the chi-square distribution (Cochran, Biometrics 10 (1954)).
LEAST_EXPECTED = 5.0


class Dependence(NamedTuple):
    chi2: float
    degrees: int

    @property
    def p(self) -> float:
        return float(chdtrc(self.degrees, self.chi2)) if self.degrees else 1.0


def dependence(rows: Sequence[Sequence[float]]) -> Dependence | None:
    """rows of the same length. None: nothing varies, or some cell is expected to hold too few."""
    totals = [sum(row) for row in rows]
    columns = [sum(column) for column in zip(*rows, strict=True)]
    everybody = sum(totals)
    if len(rows) < 2 or len(columns) < 2 or min(totals) * min(columns) < LEAST_EXPECTED * everybody or not everybody:
        return None
    chi2 = sum(
        (count - total * column / everybody) ** 2 / (total * column / everybody)
        for row, total in zip(rows, totals, strict=True)
        for count, column in zip(row, columns, strict=True)
    )
    return Dependence(chi2, (len(rows) - 1) * (len(columns) - 1))


def together(parts: Sequence[Dependence | None]) -> Dependence | None:
    """Of strata that share no people: the sums are chi-square again."""
    found = [part for part in parts if part is not None]
    return Dependence(sum(part.chi2 for part in found), sum(part.degrees for part in found)) if found else None
