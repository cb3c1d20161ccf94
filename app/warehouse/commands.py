"""`truelift warehouse sync|status|sql`."""

import asyncio
import fcntl
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal, NamedTuple

import orjson
import typer
from rich.console import Console
from rich.table import Table

from app.contract.times import format_us
from app.errors import CallerError
from app.settings import Settings
from app.warehouse.columns import TABLES
from app.warehouse.dialects import script
from app.warehouse.store import Store
from app.warehouse.sync import Sync, Synced

warehouse_app = typer.Typer(no_args_is_help=True, help="Every fact of the topics as rows of Iceberg tables.")

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


class TableStatus(NamedTuple):
    """synced: everything recorded before it is in the table. offsets: topic -> partition -> the next one."""

    table: str
    rows: int
    files: int
    snapshots: int
    synced: str | None
    offsets: dict[str, dict[str, int]]


@warehouse_app.command("sync")
def sync_command(
    follow: Annotated[bool, typer.Option(help="Go on until SIGTERM or Ctrl-C.")] = False,
    commit_seconds: Annotated[
        float, typer.Option(min=0, max=3_600, help="With --follow: rows become visible, and files are made, this often.")
    ] = 15.0,
    accept_loss: Annotated[bool, typer.Option(help="Go on behind what retention removed before it was synced.")] = False,
    json: Json = False,
) -> None:
    """From the topics to the tables, each record exactly once; goes on where the tables' own snapshots say."""
    settings = Settings()
    with _alone(settings), Store.open(settings) as store:
        done = asyncio.run(_run(Sync(settings, store, _say), follow, commit_seconds, accept_loss))
    if json:
        typer.echo(orjson.dumps({"schema": "truelift.warehouse_sync/1", **done._asdict()}).decode())
    else:
        counts = ", ".join(f"{table.name} {done.rows.get(table.name, 0):,}" for table in TABLES)
        typer.echo(f"rows: {counts}; {done.commits} commits")


@warehouse_app.command("status")
def status_command(json: Json = False) -> None:
    """Rows and files of every table, and up to when it is complete."""
    settings = Settings()
    with Store.open(settings) as store:
        found = [_status(store, table.name) for table in TABLES]
    if json:
        tables = [entry._asdict() for entry in found]
        typer.echo(orjson.dumps({"schema": "truelift.warehouse_status/1", "tables": tables}).decode())
        return
    shown = Table("table", "rows", "files", "snapshots", "complete until (UTC)")
    for entry in found:
        figures = (f"{count:,}" for count in (entry.rows, entry.files, entry.snapshots))
        shown.add_row(entry.table, *figures, (entry.synced or "")[:19].replace("T", " "))
    Console().print(shown)


@warehouse_app.command("sql")
def sql_command(
    dialect: Annotated[Literal["duckdb", "bigquery"], typer.Option(help="Of the printed SQL.")] = "bigquery",
) -> None:
    """Prints the tables' load schema, the join and the metrics: the very SQL that `truelift lift` runs."""
    typer.echo(script(dialect))


def _status(store: Store, name: str) -> TableStatus:
    table, progress = store.load(name), store.progress(name)
    snapshot = table.current_snapshot()
    summary = {} if snapshot is None or snapshot.summary is None else snapshot.summary.additional_properties
    return TableStatus(
        name,
        int(summary.get("total-records", 0)),
        int(summary.get("total-data-files", 0)),
        len(table.metadata.snapshots),
        None if progress.synced_us is None else format_us(progress.synced_us),
        {topic: {str(p): offset for p, offset in at.items()} for topic, at in progress.offsets.items()},
    )


async def _run(sync: Sync, follow: bool, commit_seconds: float, accept_loss: bool) -> Synced:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return await sync.run(follow=follow, commit_seconds=commit_seconds, stopping=stopping, accept_loss=accept_loss)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Two on one machine are told so at once; two on two machines by the catalogue, at the first commit."""
    settings.warehouse().mkdir(parents=True, exist_ok=True)
    file = settings.warehouse() / "sync.lock"
    with file.open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CallerError(
                f"a sync of {settings.warehouse()} is running", "Let it go on, or end it first: one writes, many read"
            ) from None
        yield


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
