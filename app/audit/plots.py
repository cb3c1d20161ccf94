"""The plots of an audit page, as PNG: pixels carry no text of the data's own, so there is nothing in them to escape."""

import io
from collections import Counter
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.audit.case import Case
from app.contract.times import parse_us

Draw = Callable[[Case, Axes], None]
INCHES, DOTS = (6.4, 2.8), 100
BINS = 40


def plots(case: Case) -> list[tuple[str, bytes]]:
    """(what it shows, PNG)."""
    return [
        ("Milliseconds from the signal to the decision and to the render", _png(case, _latencies)),
        ("Units assigned and exposed, by arm", _png(case, _arms)),
        ("Assignments over time, in seconds since the first; halts in red", _png(case, _over_time)),
    ]


def _png(case: Case, draw: Draw) -> bytes:
    figure = Figure(figsize=INCHES, dpi=DOTS, layout="constrained")
    draw(case, figure.subplots())
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _latencies(case: Case, axes: Axes) -> None:
    decided = [d.signal_to_decision_ms for d in case.facts.decisions if d.signal_to_decision_ms is not None]
    rendered = [e.signal_to_render_ms for e in case.facts.exposures if e.signal_to_render_ms is not None]
    for values, label in ((decided, "to the decision"), (rendered, "to the render")):
        if values:
            axes.hist(_cut(values), bins=BINS, histtype="step", label=label)
    axes.set_xlabel("ms, the slowest hundredth put together")
    if decided or rendered:
        axes.legend()


def _cut(values: Sequence[float]) -> list[float]:
    """A single slow one would leave nothing to see of the others."""
    ordered = sorted(values)
    most = ordered[max(0, len(ordered) * 99 // 100 - 1)]
    return [min(value, most) for value in ordered]


def _arms(case: Case, axes: Axes) -> None:
    assigned = Counter(decided.arm or "" for decided in case.assignments.values())
    exposed = Counter(e.variant or "" for e in case.facts.exposures)
    arms = sorted(assigned)
    places = range(len(arms))
    axes.bar([place - 0.2 for place in places], [assigned[arm] for arm in arms], 0.4, label="assigned")
    axes.bar([place + 0.2 for place in places], [exposed[arm] for arm in arms], 0.4, label="exposed")
    # A name with a dollar sign is a name, no formula.
    axes.set_xticks(list(places), arms, parse_math=False)
    axes.legend()


def _over_time(case: Case, axes: Axes) -> None:
    times = sorted(parse_us(d.decided_ts) for d in case.assignments.values() if d.decided_ts is not None)
    if not times:
        return
    axes.step([(time - times[0]) / 1e6 for time in times], range(1, len(times) + 1), where="post")
    for halt in case.rules.halts:
        axes.axvline((halt.append_us - times[0]) / 1e6, color="red", linewidth=1)
    axes.set_xlabel("seconds")
