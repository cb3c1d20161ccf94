"""Cells of scores: a number for each score, the same for those that lie close, in the order of the scores.

Sixteen cells between a power of two and the next, on either side of zero, so that no range need be known beforehand; by exact
arithmetic, so that the same records fill the same cells on any machine.
"""

from math import frexp

CELLS_AN_OCTAVE = 16
# The smallest double has the exponent -1073: behind it every cell of a positive score has a number above 0.
_LOWEST_EXPONENT = -1_074


def cell_of(score: float) -> int:
    """score: finite. 0 for zero, negative for a negative score."""
    if score == 0:
        return 0
    mantissa, exponent = frexp(abs(score))  # 0.5 <= mantissa < 1
    cell = (exponent - _LOWEST_EXPONENT) * CELLS_AN_OCTAVE + int((mantissa - 0.5) * 2 * CELLS_AN_OCTAVE)
    return cell if score > 0 else -cell
