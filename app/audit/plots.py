"""The plots of an audit page, as PNG: pixels carry no text of the data's own, so there is nothing in them to escape."""

import io
from collections import Counter
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.audit.case import Case
from app.contract.times import parse_us

Draw = Callable[[Case, Axes], None]
INCHES, DOTS = (6.4, 2.8), 100
SMALLEST_MS = 0.1


def plots(case: Case) -> list[tuple[str, bytes]]:
    """(what it shows, PNG)."""
    return [
        ("How soon after the signal it was decided, and rendered", _png(case, _latencies)),
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
    for values, label in ((decided, "decided"), (rendered, "rendered")):
        if values:
            # Clocks differ: what came before it was sent is drawn at the edge.
            ordered = sorted(max(SMALLEST_MS, value) for value in values)
            axes.step(ordered, [(i + 1) / len(ordered) for i in range(len(ordered))], where="post", label=label)
    axes.set_xscale("log")
    axes.set_xlabel("ms from the signal")
    axes.set_ylabel("share of records")
    _explain(axes)


def _arms(case: Case, axes: Axes) -> None:
    assigned = Counter(decided.arm or "" for decided in case.assignments.values())
    exposed = Counter(e.variant or "" for e in case.facts.exposures)
    arms = sorted(assigned)
    places = range(len(arms))
    axes.bar([place - 0.2 for place in places], [assigned[arm] for arm in arms], 0.4, label="assigned")
    axes.bar([place + 0.2 for place in places], [exposed[arm] for arm in arms], 0.4, label="exposed")
    # A name with a dollar sign is a name, no formula.
    axes.set_xticks(list(places), arms, parse_math=False)
    _explain(axes)


def _over_time(case: Case, axes: Axes) -> None:
    times = sorted(parse_us(d.decided_ts) for d in case.assignments.values() if d.decided_ts is not None)
    if not times:
        return
    axes.step([(time - times[0]) / 1e6 for time in times], range(1, len(times) + 1), where="post")
    for halt in case.rules.halts:
        axes.axvline((halt.append_us - times[0]) / 1e6, color="red", linewidth=1)
    axes.set_xlabel("seconds")


def _explain(axes: Axes) -> None:
    """Above the plot, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
