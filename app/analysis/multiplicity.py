"""Several questions at once: how far p must go for any of them, so that all together err with the level of one.

Holm, Scandinavian Journal of Statistics 6 (1979): valid whatever the questions have to do with each other.
"""

from collections.abc import Sequence


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted: a question is answered at a level when its adjusted p is at most that level."""
    order = sorted(range(len(p)), key=lambda index: p[index])
    adjusted, highest = [1.0] * len(p), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = highest
    return adjusted
