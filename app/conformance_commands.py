"""`truelift conformance growthbook FILE`: the engine against GrowthBook's own test cases, as a table or as JSON."""

import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from app.conformance import Report, run_growthbook_file

commands = typer.Typer(help="Hold the engine against other programs' test cases.", no_args_is_help=True)


@commands.callback()
def conformance() -> None:
    """Hold the engine against other programs' test cases."""


@commands.command()
def growthbook(
    file: Annotated[Path, typer.Argument(help="A file in the format of GrowthBook's sdk-js test/cases.json.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Run GrowthBook's cases: passed and failed by section. Exits 1 when a case fails."""
    report = run_growthbook_file(file)
    if as_json:
        sys.stdout.write(orjson.dumps(_as_json(report), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _print(report, Console())
    if report.failed:
        raise typer.Exit(1)


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "spec_version": report.spec_version,
        "passed": report.passed,
        "failed": report.failed,
        "sections": {
            result.section: {
                "passed": result.passed,
                "failed": result.failed,
                "failures": [failure._asdict() for failure in result.failures],
            }
            for result in report.sections
        },
        "skipped": dict(report.skipped),
    }


def _print(report: Report, console: Console) -> None:
    table = Table(title=f"GrowthBook specification {report.spec_version}")
    table.add_column("section")
    table.add_column("passed", justify="right")
    table.add_column("failed", justify="right")
    for result in report.sections:
        table.add_row(result.section, str(result.passed), _failed_text(result.failed))
    table.add_section()
    table.add_row("total", str(report.passed), _failed_text(report.failed))
    console.print(table)
    for result in report.sections:
        for failure in result.failures:
            line = f"{result.section}: {failure.name}: expected {failure.expected!r}, got {failure.got!r}"
            console.print(line, markup=False, highlight=False)
    if report.skipped:
        names = ", ".join(f"{name} ({count})" for name, count in report.skipped.items())
        console.print(f"skipped, no counterpart here: {names}", markup=False, highlight=False)


def _failed_text(count: int) -> str:
    return f"[red]{count}[/red]" if count else "0"
