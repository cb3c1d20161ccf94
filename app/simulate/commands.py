"""`truelift simulate`."""

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from app.errors import CallerError
from app.settings import Settings
from app.simulate.peeking import DAYS, peeking
from app.simulate.pipeline.agreement import agreement
from app.simulate.pipeline.report import as_json as once_as_json
from app.simulate.pipeline.report import show as show_once
from app.simulate.pipeline.script import scripts_of
from app.simulate.pipeline.site import through
from app.simulate.report import Report, markdown, show
from app.simulate.trap import Trap
from app.simulate.traps import TRAPS
from app.simulate.trial import tried
from app.simulate.wanted import failures

PEEKING, ALL = "peeking", "all"
MOST_REPETITIONS = 100_000
# The tenth needs no people one by one: it is drawn twice as often for the same time.
PEEKS_A_REPETITION = 2
MOST_PEOPLE = 20_000


def simulate(
    trap: Annotated[str, typer.Argument(help=f"{', '.join(trap.name for trap in TRAPS)}, {PEEKING}, or {ALL}.")],
    repetitions: Annotated[int, typer.Option(min=10, max=MOST_REPETITIONS, help="Experiments of each world.")] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same figures.")] = 1,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write it as Markdown.")] = None,
    through_kafka: Annotated[
        bool, typer.Option("--through-kafka", help="Once, through a broker, a worker, governance, warehouse and lift.")
    ] = False,
    people: Annotated[int, typer.Option(min=100, max=MOST_PEOPLE, help="With --through-kafka: of each trap.")] = 2_000,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Known truth, ten traps: what a naive dashboard says, what is true, what we say. Exit code 1 when we are fooled."""
    chosen = [one for one in TRAPS if trap in (ALL, one.name)]
    if not chosen and trap != PEEKING:
        raise CallerError(f"there is no trap {trap!r}", f"There are {', '.join(one.name for one in TRAPS)}, {PEEKING}, {ALL}")
    if through_kafka:
        _once(chosen, people, seed, json)
        return
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


def _once(chosen: list[Trap], people: int, seed: int, json: bool) -> None:
    if not chosen:
        raise CallerError(
            f"{PEEKING} is about looks on {DAYS} days, and no broker's clock can be hurried", "Leave --through-kafka out"
        )
    scripts = [script for trap in chosen for script in scripts_of(trap, people, seed)]
    reports = through(scripts, Settings(), lambda text: typer.echo(text, err=True))
    found = [agreement(*pair) for pair in zip(scripts, reports, strict=True)]
    if json:
        typer.echo(orjson.dumps(once_as_json(found, seed)).decode())
    else:
        show_once(found, Console())
    if any(one.differs for one in found):
        raise typer.Exit(1)
