"""`truelift check`."""

import asyncio
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from app.checker.check import check as run
from app.checker.report import show
from app.settings import Settings


def check(
    live: Annotated[bool, typer.Option(help="A worker still runs: inputs not journalled yet are waiting, not lost.")] = False,
    disk: Annotated[
        list[Path] | None, typer.Option("--disk", help="A data folder with disks of workers; repeatable. Default: this one's.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Count from the topics alone if anything was lost, counted twice, moved, wrong or treated after a kill. Exit code 1 if so.

    Where workers' disks are here and at rest, their rows are compared too.
    """
    report = asyncio.run(run(Settings(), live=live, data_dirs=disk or ()))
    if json:
        typer.echo(orjson.dumps(report.as_json()).decode())
    else:
        show(report, Console())
    if not report.clean:
        raise typer.Exit(1)
