"""`truelift simulate`."""

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from app.errors import CallerError
from app.simulate.peeking import peeking
from app.simulate.report import Report, markdown, show
from app.simulate.traps import TRAPS
from app.simulate.trial import tried
from app.simulate.wanted import failures

PEEKING, ALL = "peeking", "all"
MOST_REPETITIONS = 100_000
# The tenth needs no people one by one: it is drawn twice as often for the same time.
PEEKS_A_REPETITION = 2


def simulate(
    trap: Annotated[str, typer.Argument(help=f"{', '.join(trap.name for trap in TRAPS)}, {PEEKING}, or {ALL}.")],
    repetitions: Annotated[int, typer.Option(min=10, max=MOST_REPETITIONS, help="Experiments of each world.")] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same figures.")] = 1,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write it as Markdown.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Known truth, ten traps: what a naive dashboard says, what is true, what we say. Exit code 1 when we are fooled."""
    chosen = [one for one in TRAPS if trap in (ALL, one.name)]
    if not chosen and trap != PEEKING:
        raise CallerError(f"there is no trap {trap!r}", f"There are {', '.join(one.name for one in TRAPS)}, {PEEKING}, {ALL}")
    outcomes = [tried(one, repetitions, seed) for one in chosen]
    peeks = peeking(PEEKS_A_REPETITION * repetitions, seed) if trap in (PEEKING, ALL) else []
    made = Report(repetitions, seed, outcomes, peeks, failures(outcomes, peeks, repetitions))
    if report is not None:
        report.write_text(markdown(made), encoding="utf-8")
    if json:
        typer.echo(orjson.dumps(made.as_json()).decode())
    else:
        show(made, Console())
    if made.failed:
        raise typer.Exit(1)
