"""`truelift audit`."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from app.audit.audit import audit as make
from app.audit.page import page
from app.audit.screen import show
from app.settings import Settings


def audit(
    key: Annotated[str, typer.Argument(help="The policy.")],
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write one self-contained page with plots.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Partitions replayed at a time; default one a processor.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """The ten points that lift must survive, from the raw topics. Exit code 1 unless every one passes."""
    report = asyncio.run(make(Settings(), key, jobs or os.cpu_count() or 1))
    if html is not None:
        html.write_text(page(report), encoding="utf-8")
    if json:
        typer.echo(orjson.dumps(report.as_json(), default=repr).decode())
    else:
        show(report, Console())
    if not report.passes:
        raise typer.Exit(1)
