"""`truelift check`."""

import asyncio
from typing import Annotated

import orjson
import typer
from rich.console import Console

from app.checker.check import check as run
from app.checker.report import show
from app.settings import Settings


def check(
    live: Annotated[bool, typer.Option(help="A worker still runs: inputs not journalled yet are waiting, not lost.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Count from the topics alone if anything was lost, counted twice, moved or treated after a kill. Exit code 1 if so."""
    report = asyncio.run(run(Settings(), live=live))
    if json:
        typer.echo(orjson.dumps(report.as_json()).decode())
    else:
        show(report, Console())
    if not report.clean:
        raise typer.Exit(1)
