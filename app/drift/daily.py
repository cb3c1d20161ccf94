"""Feature values as decisions in bins, day by day: ten bins of as many decisions of the reference each, as far as values can be
parted."""

from bisect import bisect_left
from collections.abc import Sequence

from app.analysis.alarms.scored import BINS, Daily, Span
from app.drift.observed import Observed


def dailies(observed: Observed, names: Sequence[str], reference: Span, complete: int) -> list[Daily]:
    """names: of the features, in the model's order. complete: the last day that is over."""
    return [_daily(observed, place, name, reference, complete) for place, name in enumerate(names)]


def _daily(observed: Observed, place: int, name: str, reference: Span, complete: int) -> Daily:
    days = {day: of_day[place] for day, of_day in sorted(observed.days.items())}
    known = sorted(value for day, values in days.items() if reference.first <= day <= reference.last for value in values)
    edges = [known[len(known) * bin_ // BINS - 1] for bin_ in range(1, BINS)] if len(known) >= BINS else []
    binned: dict[int, list[int]] = {}
    for day, values in days.items():
        bins = binned.setdefault(day, [0] * BINS)
        for value in values:
            bins[bisect_left(edges, value)] += 1
    return Daily(name, reference, complete, binned, {})
