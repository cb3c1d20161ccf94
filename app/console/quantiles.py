"""Percentiles from counts in bins: the read model keeps no single duration."""

from collections.abc import Sequence
from math import ceil, log

# Each bin is 10 % wider than the one before, so a percentile is within 10 % of the true one.
BIN_RATIO = 1.1
_LOG_RATIO = log(BIN_RATIO)


def bin_of(milliseconds: float) -> int:
    return max(0, ceil(log(max(milliseconds, 1.0)) / _LOG_RATIO))


def milliseconds_of(number: int) -> float:
    """The upper end of a bin."""
    return float(BIN_RATIO**number)


def percentile(counts: Sequence[tuple[int, int]], share: float) -> float:
    """The upper end of the bin that holds it. counts: (bin, records), ascending."""
    wanted, seen = share * sum(count for _, count in counts), 0
    for number, count in counts:
        seen += count
        if seen >= wanted:
            return milliseconds_of(number)
    return 0.0
