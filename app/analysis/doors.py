"""The doors through which rows of the warehouse are shown: `truelift sql` and `truelift warehouse export`.

Both ask blinding.py first. The tables' files are a door too, the audited one: they lie in the warehouse's folder, unmasked, for
whoever has the right to open it, and any Iceberg reader finds them by the catalogue.
"""

import csv
import io
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.analysis.blinding import blinded
from app.analysis.experiment import stories
from app.analysis.looked import record_look, unblinding
from app.contract.times import format_us, micros, parse_us
from app.errors import CallerError
from app.governance.console import As
from app.settings import Settings
from app.warehouse.commands import warehouse_app
from app.warehouse.export import Format, lines
from app.warehouse.lake import opened
from app.warehouse.masks import open_views
from app.warehouse.query import MOST_ROWS, Answer, ask
from app.warehouse.store import Store

__all__ = ["sql", "warehouse_app"]

USUAL_ROWS = 1_000


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT, in DuckDB's SQL.")],
    limit: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="At most so many rows.")] = USUAL_ROWS,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    unblind: Annotated[
        str | None, typer.Option(metavar="KEY", help="Show this experiment's arms: a look by hand, in the log, spends alpha.")
    ] = None,
    as_: As = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays in the log.")] = "",
) -> None:
    """Ask the warehouse, read-only. Of experiments that still run, arms and outcomes cannot be brought together."""
    if json and as_csv:
        raise CallerError("--json and --csv are both given", "Choose one")
    settings = Settings()
    with Store.open(settings) as store, opened(store, settings.warehouse() / "spill") as lake:
        told, now_us = stories(lake), time.time_ns() // 1000
        hidden = blinded(told, now_us)
        if unblind is not None and hidden.pop(unblind, None) is not None:
            record_look(settings, as_, unblinding(told, unblind, now_us, "sql"), reason)
        views = open_views(lake, hidden)
        lake.seal()
        answer = ask(lake, query, views, limit)
    _show(answer, hidden, json=json, as_csv=as_csv)
    for policy, why in hidden.items():
        _say(f"arms of {policy} are blinded: {why}")
    if answer.more:
        _say(f"the first {len(answer.rows):,} rows; more with --limit, up to {MOST_ROWS:,}")


@warehouse_app.command("export")
def export_command(
    form: Annotated[Format, typer.Option("--format", help="Whose events.")],
    out: Annotated[Path | None, typer.Option(help="A file to write; none: standard output.")] = None,
    since: Annotated[str | None, typer.Option(help="Only what was recorded from then on (RFC 3339).")] = None,
) -> None:
    """Exposures and outcomes as events of another tool, one JSON object a line; safe to send twice."""
    since_us = _moment(since)
    settings = Settings()
    with Store.open(settings) as store, opened(store, settings.warehouse() / "spill") as lake:
        hidden = blinded(stories(lake), time.time_ns() // 1000)
        written = lines(lake, form, since_us, hidden)
        if out is None:
            sys.stdout.buffer.writelines(written)
        else:
            with out.open("wb") as file:
                file.writelines(written)
    for policy, why in hidden.items():
        _say(f"exposures of {policy} are held back: {why}")


def _show(answer: Answer, hidden: dict[str, str], *, json: bool, as_csv: bool) -> None:
    if json:
        found = {"columns": answer.columns, "rows": answer.rows, "more": answer.more, "blinded": hidden}
        typer.echo(orjson.dumps({"schema": "truelift.sql/1", **found}, default=str, option=orjson.OPT_UTC_Z).decode())
    elif as_csv:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows([_text(value) for value in row] for row in answer.rows)
        typer.echo(text.getvalue(), nl=False)
    else:
        table = Table()
        for column in answer.columns:
            table.add_column(column, overflow="fold")
        for row in answer.rows:
            table.add_row(*(Text(_text(value)) for value in row))
        Console().print(table)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return format_us(micros(value if value.tzinfo is not None else value.replace(tzinfo=UTC)))
    return "" if value is None else str(value)


def _moment(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return parse_us(text)
    except ValueError:
        raise CallerError(f"--since is {text!r}, which is no moment", "Write it as 2026-11-22T10:15:30Z") from None


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
