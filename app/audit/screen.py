"""The audit on a screen: a line a point, and below it the records that speak."""

from rich.console import Console
from rich.markup import escape

from app.audit.audit import AuditReport

COLOURS = {"PASS": "green", "FAIL": "red", "NOT SHOWN": "yellow"}


def show(report: AuditReport, console: Console) -> None:
    console.print(f"[bold]Audit of {escape(report.key)}[/bold] {report.made_at}", highlight=False)
    for point in report.points:
        verdict = f"[{COLOURS[point.verdict]}]{point.verdict:9}[/{COLOURS[point.verdict]}]"
        console.print(f"{point.number:2} {verdict} {point.title}: {escape(point.why)}", highlight=False, soft_wrap=True)
        for evidence in point.evidence:
            console.print(f"     {evidence.place} {evidence.shows}", highlight=False, markup=False, soft_wrap=True)
    for place in report.case.facts.taken_by_retention:
        console.print(f"[yellow]retention took what lies before {place}[/yellow]", highlight=False)
    passing = sum(point.verdict == "PASS" for point in report.points)
    colour = "green" if report.passes else "red"
    console.print(f"[{colour}]{passing} of {len(report.points)} points pass[/{colour}]", highlight=False)
