"""The lift report for a person: the verdict first, then what it rests on, then what was left out."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.analysis.alarms.alarm import fired
from app.analysis.lift_report import Comparison, LiftReport, MetricLift
from app.analysis.proportions import Interval

NOTHING = "·"
OVER_TIME_SHOWN = 14
PER_DECISION = (
    "\nThe unit of analysis is the decision: a variant is drawn at each, and one person may be in every arm. An outcome "
    "belongs to the person's last decision before it; what a decision leaves behind for later ones is in no figure, and "
    "whoever is held out is compared with nobody."
)
_LEFT_OUT = {
    "crossovers": "people who turned out to have had two arms",
    "reassigned": "people whom a reassigning version moved",
    "re_identified": "people drawn for more than once, or on a device of several users",
    "covered_later": "people whom a later step of the ramp covered (only against the holdout)",
    "exposures_without_decision": "exposures without a decision",
    "duplicate_exposures": "further exposures of an assignment",
}


def show(report: LiftReport, console: Console) -> None:
    console.print(f"[bold]{report.key}: {report.verdict}[/bold]", highlight=False)
    console.print(report.because, highlight=False, style="dim", markup=False)
    console.print(_about(report), highlight=False)
    if report.timings is not None:
        console.print(report.timings.said, highlight=False, markup=False)
    console.print(_arms(report))
    if report.is_open:
        console.print(_metrics("arm against control", report.metrics))
    else:
        console.print(_pooled(report))
    if report.holdout:
        console.print(_metrics("all arms against the holdout, from the trigger on", report.holdout))
    if report.over_time:
        console.print(_over_time(report))
    if report.segments:
        rows = (([s.segment or "(not said)"], s.comparison) for s in report.segments)
        console.print(
            _comparisons(f"{report.metrics[0].name} by {report.segments_by}, p by Holm", [report.segments_by or ""], rows)
        )
    if report.horizons:
        by_days = (([f"{h.days} days", h.metric], h.comparison) for h in report.horizons)
        console.print(_comparisons("by horizon, people whose time is over, p by Holm", ["horizon", "metric"], by_days))
    for alarm in fired(report.alarms):
        console.print(f"alarm: {alarm.name}: {alarm.said}. {alarm.remedy}", highlight=False, markup=False, style="yellow")
    for name, meaning in _LEFT_OUT.items():
        if count := getattr(report.left_out, name):
            console.print(f"left out: {count:,} {meaning}", highlight=False, style="dim")


def _units(report: LiftReport) -> str:
    return "decisions" if report.unit_of_analysis == "decision" else "people"


def _about(report: LiftReport) -> str:
    first, last = report.versions
    versions = f"version {last}" if first == last else f"versions {first} to {last}"
    others = ", ".join(str(number) for number in report.versions_left_out)
    left_out = f" (without {others}: treated or measured otherwise)" if others else ""
    level = f", to be below p = {report.level:.4g}" if report.level is not None else ""
    who = "decisions that" if report.unit_of_analysis == "decision" else "people who"
    claim = f"{who} were shown it" if report.claim == "exposed" else "everybody assigned, since the arms differ in timing"
    each = PER_DECISION if report.unit_of_analysis == "decision" else ""
    cuped = f", continuous metrics less what the {report.cuped_days} days before explain" if report.cuped_days else ""
    return f"{versions}{left_out}, recorded until {report.looked_at[:16]}Z; of {claim}{level}{cuped}{each}"


def _arms(report: LiftReport) -> Table:
    table = Table(title=_units(report), title_justify="left")
    for name in ("arm", "assigned", "by the weights", "shown"):
        table.add_column(name, justify="left" if name == "arm" else "right")
    for size in report.arms:
        expected = NOTHING if size.expected is None else f"{size.expected:,.0f}"
        table.add_row(size.arm, f"{size.assigned:,}", expected, f"{size.exposed:,}" if size.exposed else NOTHING)
    for population, test in report.srm.items():
        said = "MISMATCH" if test.alarm else "as drawn"
        table.caption = f"{table.caption or ''}{population}: {said}, p = {test.p:.2g}\n"
    return table


def _pooled(report: LiftReport) -> Table:
    table = Table(title="all arms together; arm by arm only at a look", title_justify="left")
    for name in ("metric", "people", "mean"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for pooled in report.pooled:
        table.add_row(f"{pooled.role} {pooled.name}", f"{pooled.people:,}", f"{pooled.mean:.4g}")
    return table


def _metrics(title: str, metrics: Iterable[MetricLift]) -> Table:
    rows = (([f"{metric.role} {metric.name}"], comparison) for metric in metrics for comparison in metric.comparisons)
    return _comparisons(title, ["metric"], rows)


def _comparisons(title: str, names: list[str], rows: Iterable[tuple[list[str], Comparison]]) -> Table:
    """What belongs to the control stands above what belongs to the arm: it fits a terminal of 80 characters."""
    table = Table(title=title, title_justify="left", box=box.HORIZONTALS, show_lines=True, pad_edge=False)
    table.add_column(" ".join((*names, "and arm")), max_width=20)
    for name in ("people", "mean"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("difference, relative, verdict", max_width=34)
    table.add_column("p", justify="right", no_wrap=True)
    for cells, comparison in rows:
        what = f"{' '.join(cells)}\n{comparison.arm}, {comparison.population}"
        table.add_row(escape(what), *_figures(comparison))  # a segment is what some client sent
    return table


def _figures(comparison: Comparison) -> list[str]:
    found = comparison.effect
    if found is None:
        return [NOTHING, NOTHING, comparison.verdict or "", NOTHING]
    lines = [f"{found.difference:+.3g}{_interval(found.difference_ci, '+.3g')}"]
    if found.relative is not None:
        lines.append(f"{found.relative:+.1%}{_interval(found.relative_ci, '+.1%')}")
    if comparison.verdict is not None:
        lines.append(f"[bold]{comparison.verdict}[/bold]")
    return [
        "\n".join(f"{people:,}" for people in found.people),
        "\n".join(f"{mean:.4g}" for mean in found.means),
        "\n".join(lines),
        f"{found.p if comparison.p_adjusted is None else comparison.p_adjusted:.3g}",
    ]


def _interval(interval: Interval | None, form: str) -> str:
    return "" if interval is None else f" ({format(interval[0], form)} to {format(interval[1], form)})"


def _over_time(report: LiftReport) -> Table:
    table = Table(title=f"{report.metrics[0].name}: treated minus held out, by the day of the trigger", title_justify="left")
    for name in ("day", "treated", "held out", "difference", "standard error"):
        table.add_column(name, justify="left" if name == "day" else "right")
    for day in report.over_time[-OVER_TIME_SHOWN:]:
        table.add_row(day.day, f"{day.treated:,}", f"{day.held_out:,}", f"{day.difference:+.4g}", f"{day.error:.4g}")
    return table
