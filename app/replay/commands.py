"""`truelift replay verify|explain|checkpoint|checkpoints`. `replay what-if` is added by app/ope, whose estimates it carries."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app.errors import CallerError
from app.governance.console import As, signing_key
from app.replay import report
from app.replay.checkpoints import view
from app.replay.checkpoints.take import take
from app.replay.checkpoints.vouched import vouched
from app.replay.explain import Place, explain, find, records_of
from app.replay.explain_view import listing, tree_of
from app.replay.partition import Progress as OnProgress
from app.replay.selection import Selection, read_bound
from app.replay.verify import verify
from app.settings import Settings

replay_app = typer.Typer(no_args_is_help=True, help="Decide the recorded inputs again. Only `checkpoint` writes.")

From = Annotated[str | None, typer.Option("--from", help="Journal offset or time (RFC 3339), inclusive.")]
To = Annotated[str | None, typer.Option("--to", help="Journal offset or time (RFC 3339), exclusive.")]
Partition = Annotated[int | None, typer.Option(min=0, help="One partition; default all.")]
User = Annotated[str | None, typer.Option(help="One unit, as the journal names it.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Partitions at a time; default one a processor.")]
FromCheckpoint = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|latest|none",
        help="Where to begin; default the newest fitting checkpoint where retention took the beginning, else the beginning.",
    ),
]
State = Annotated[Literal["memory", "disk"], typer.Option(help="Where state is rebuilt; disk for long histories.")]


@replay_app.command("verify")
def verify_command(
    start: From = None,
    to: To = None,
    partition: Partition = None,
    user: User = None,
    from_checkpoint: FromCheckpoint = None,
    state: State = "memory",
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Compare every byte of journal, exposures, outcomes and dead letters with a replay. Exit code 1 on any difference."""
    selection = Selection(read_bound(start), read_bound(to), partition, user)
    with shown_progress(shown=not json) as on_progress:
        work = verify(Settings(), selection, state, on_progress, jobs or os.cpu_count() or 1, from_checkpoint)
        found = asyncio.run(work)
    if json:
        typer.echo(orjson.dumps(found.as_json(), default=repr).decode())
    else:
        report.show(found, Console())
    if not found.all_identical:
        raise typer.Exit(1)


@replay_app.command("explain")
def explain_command(
    decision: Annotated[str | None, typer.Option(help="A decision_id of the journal.")] = None,
    event: Annotated[str | None, typer.Option(help="The event_id of an input.")] = None,
    user: Annotated[str | None, typer.Option(help="List the last records of this unit, and choose one.")] = None,
    number: Annotated[int | None, typer.Option(min=1, help="With --user: the one with this number in the list.")] = None,
    from_checkpoint: FromCheckpoint = None,
    state: State = "memory",
    json: Json = False,
) -> None:
    """One decision, gate by gate, with the inputs it saw, who brought its version into force, and whether it replays."""
    if sum(given is not None for given in (decision, event, user)) != 1:
        raise CallerError("explain needs one of --decision, --event and --user", "Give exactly one of them")
    settings = Settings()
    if user is None:
        place = asyncio.run(find(settings, decision_id=decision, event_id=event))
    else:
        chosen = _choose(settings, user, number, json)
        if chosen is None:
            return
        place = chosen
    found = asyncio.run(explain(settings, place, decision, state, from_checkpoint))
    if json:
        typer.echo(orjson.dumps(found.as_json(), default=repr).decode())
    else:
        Console().print(tree_of(found))
    if found.difference is not None:
        raise typer.Exit(1)


@replay_app.command("checkpoint")
def checkpoint_command(
    to: To = None,
    as_: As = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays in the log.")] = "checkpoint",
    from_checkpoint: FromCheckpoint = None,
    state: State = "memory",
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Replay and compare all up to now (or --to); keep the state that this built, signed for. Exit code 1 on any difference.

    Begins at the newest checkpoint, where there is one.
    """
    settings, until = Settings(), read_bound(to)
    key = signing_key(settings, as_)
    with shown_progress(shown=not json) as on_progress:
        work = take(settings, key, reason, until, from_checkpoint, state, on_progress, jobs or os.cpu_count() or 1)
        taken = asyncio.run(work)
    if json:
        typer.echo(orjson.dumps(view.as_json(taken), default=repr).decode())
    else:
        view.show_taken(taken, Console())
    if taken.path is None:
        raise typer.Exit(1)


@replay_app.command("checkpoints")
def checkpoints_command(json: Json = False) -> None:
    """The checkpoints that the governance log vouches for, the newest first, and whether their files are here."""
    known = asyncio.run(vouched(Settings()))[1]
    if json:
        typer.echo(orjson.dumps([view.entry(checkpoint) for checkpoint in known]).decode())
    else:
        view.show_known(known, Console())


def _choose(settings: Settings, user: str, number: int | None, json: bool) -> Place | None:
    """None: the list was all that could be given, for nobody is there to choose."""
    places = asyncio.run(records_of(settings, user))
    if not places:
        raise CallerError(
            f"the journal has no record of {user!r}", "Name the unit as the journal does (anon:<id> before login)"
        )
    console = Console()
    if number is None:
        if json:
            bodies = [{"partition": place.partition, **place.journalled.body} for place in places]
            typer.echo(orjson.dumps(bodies).decode())
            return None
        console.print(listing(places))
        if not console.is_terminal:
            return None
        number = int(typer.prompt("number", type=int, default=len(places)))
    if not 1 <= number <= len(places):
        raise CallerError(f"there is no number {number} in the list", f"Choose 1 to {len(places)}")
    return places[number - 1]


@contextmanager
def shown_progress(*, shown: bool) -> Iterator[OnProgress]:
    """A bar a partition on stderr, so that stdout stays what was asked for."""
    columns = (
        TextColumn("partition {task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bars:
        tasks = {}

        def advance(partition: int, done: int, total: int) -> None:
            if partition not in tasks:
                tasks[partition] = bars.add_task(str(partition))
            bars.update(tasks[partition], completed=done, total=max(total, 1) if total else 0)

        yield advance
