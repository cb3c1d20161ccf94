"""What is known of one metric in one arm of one stratum: size, means, variances. All that an estimate needs, and no more.

Owns putting cells together and taking out what a covariate explains (CUPED). Refuses a cell of one person a variance.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

# (rule version, phase): both are frozen into an assignment, so nobody changes the stratum.
Stratum = tuple[int, int]
# Fewer have no variance.
LEAST_PEOPLE = 2


class Cell(NamedTuple):
    """x: the metric of a person. y: what it is held against (events of a ratio, or a covariate). Variances are of n - 1."""

    people: int
    mean_x: float
    variance_x: float
    mean_y: float
    variance_y: float
    covariance: float

    def adjusted(self, slope: float, center: float) -> "Cell":
        """Without what the covariate explains: x - slope (y - center)."""
        explained = 2 * slope * self.covariance - slope * slope * self.variance_y
        mean = self.mean_x - slope * (self.mean_y - center)
        return self._replace(mean_x=mean, variance_x=max(0.0, self.variance_x - explained))


Arm = Mapping[Stratum, Cell]


def pooled(cells: Iterable[Cell]) -> Cell | None:
    """The cell of all their people together; None of nobody. Chan, Golub and LeVeque, The American Statistician 37 (1983)."""
    found = [cell for cell in cells if cell.people]
    if not found:
        return None
    people = sum(cell.people for cell in found)
    mean_x = math.fsum(cell.people * cell.mean_x for cell in found) / people
    mean_y = math.fsum(cell.people * cell.mean_y for cell in found) / people
    degrees = max(1, people - 1)

    def moment(within: Sequence[float], between: Sequence[float]) -> float:
        inside = math.fsum((cell.people - 1) * value for cell, value in zip(found, within, strict=True))
        return (inside + math.fsum(cell.people * value for cell, value in zip(found, between, strict=True))) / degrees

    return Cell(
        people,
        mean_x,
        moment([c.variance_x for c in found], [(c.mean_x - mean_x) ** 2 for c in found]),
        mean_y,
        moment([c.variance_y for c in found], [(c.mean_y - mean_y) ** 2 for c in found]),
        moment([c.covariance for c in found], [(c.mean_x - mean_x) * (c.mean_y - mean_y) for c in found]),
    )


def pooled_arm(arms: Iterable[Arm]) -> dict[Stratum, Cell]:
    """Several arms as one, stratum by stratum."""
    found: dict[Stratum, list[Cell]] = {}
    for arm in arms:
        for stratum, cell in arm.items():
            found.setdefault(stratum, []).append(cell)
    together = {stratum: pooled(cells) for stratum, cells in found.items()}
    return {stratum: cell for stratum, cell in together.items() if cell is not None}


def without_covariate(control: Arm, treatment: Arm) -> tuple[dict[Stratum, Cell], dict[Stratum, Cell]] | None:
    """CUPED: both arms with one slope, that of x on y within the cells. None where the covariate does not vary.

    Deng, Xu, Kohavi and Walker, WSDM 2013. y must have been fixed before the treatment could do anything.
    """
    cells = [*control.values(), *treatment.values()]
    spread = math.fsum((cell.people - 1) * cell.variance_y for cell in cells)
    if not spread > 0:
        return None
    slope = math.fsum((cell.people - 1) * cell.covariance for cell in cells) / spread
    centers = {stratum: both.mean_y for stratum, both in pooled_arm([control, treatment]).items()}

    def adjusted(arm: Arm) -> dict[Stratum, Cell]:
        return {stratum: cell.adjusted(slope, centers[stratum]) for stratum, cell in arm.items()}

    return adjusted(control), adjusted(treatment)
