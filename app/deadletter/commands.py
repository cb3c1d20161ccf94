"""`truelift deadletter list|show|retry`."""

import asyncio
from contextlib import aclosing
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.contract.times import format_us
from app.deadletter.letters import Filter, Letter, Place, all_letters, letters_at, newest_letters
from app.deadletter.retry import Result, retry
from app.errors import CallerError
from app.settings import Settings

deadletter_app = typer.Typer(no_args_is_help=True, help="What could not be accepted, why, and its way back.")

BATCH_LETTERS = 500

Reason = Annotated[str | None, typer.Option(help="Only those with this reason code.")]
Topic = Annotated[str | None, typer.Option(help="Only those from this source: a topic, or ingest:FILE.")]
Partition = Annotated[int | None, typer.Option(min=0, help="Only those from this partition of the source.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@deadletter_app.command("list")
def list_command(
    reason: Reason = None,
    topic: Topic = None,
    partition: Partition = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many.")] = 50,
    json: Json = False,
) -> None:
    """The newest dead letters, the newest last."""
    letters = asyncio.run(newest_letters(Settings(), Filter(reason, topic, partition), limit))
    if json:
        for letter in letters:
            typer.echo(orjson.dumps(letter.as_json()).decode())
        return
    table = Table()
    for name in ("place", "when (UTC)", "reason"):
        table.add_column(name, no_wrap=True)
    for name in ("source", "key", "message"):
        table.add_column(name, overflow="fold")
    for letter in letters:
        key = "" if letter.key is None else letter.key.decode(errors="replace")
        cells = (
            str(letter.place),
            format_us(letter.dead_us)[:19].replace("T", " "),
            letter.reason,
            letter.source,
            key,
            letter.message,
        )
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)


@deadletter_app.command()
def show(place: Annotated[str, typer.Argument(help="partition:offset")], json: Json = False) -> None:
    """One dead letter with its original."""
    (letter,) = asyncio.run(letters_at(Settings(), [Place.parse(place)]))
    shown = letter.as_json()
    if json:
        typer.echo(orjson.dumps(shown).decode())
        return
    for name, value in shown.items():
        Console().print(Text(f"{name:>12}  {value}"), soft_wrap=True)


@deadletter_app.command("retry")
def retry_command(
    places: Annotated[list[str] | None, typer.Argument(help="partition:offset, several if need be.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that the filters take.")] = False,
    reason: Reason = None,
    topic: Topic = None,
    partition: Partition = None,
    json: Json = False,
) -> None:
    """Re-submit originals to where they came from, each once however often it is asked for.

    Exits 1 when one was refused. A record that is still not acceptable becomes a new dead letter.
    """
    if bool(places) == every:
        raise CallerError("retry needs places or --all, and not both", "See `truelift deadletter list`")
    chosen = [Place.parse(place) for place in places or ()]
    if not asyncio.run(_retry(Settings(), chosen, Filter(reason, topic, partition), json)):
        raise typer.Exit(1)


async def _retry(settings: Settings, places: list[Place], chosen: Filter, json: bool) -> bool:
    """True when nothing was refused. `--all` goes in bounded batches, so that no number of dead letters fills the memory."""
    if places:
        return _print_results(await retry(settings, await letters_at(settings, list(dict.fromkeys(places)))), json)
    fine = True
    batch: list[Letter] = []
    async with aclosing(all_letters(settings, chosen)) as letters:
        async for letter in letters:
            batch.append(letter)
            if len(batch) == BATCH_LETTERS:
                fine &= _print_results(await retry(settings, batch), json)
                batch = []
    return _print_results(await retry(settings, batch), json) and fine


def _print_results(results: list[Result], json: bool) -> bool:
    for result in results:
        _print_result(result, json)
    return all(result.outcome != "refused" for result in results)


def _print_result(result: Result, json: bool) -> None:
    if json:
        typer.echo(orjson.dumps(result._asdict() | {"place": str(result.place)}).decode())
    else:
        Console().print(
            Text(f"{result.place}  {result.outcome.replace('_', ' ')}{': ' if result.why else ''}{result.why}"), soft_wrap=True
        )
