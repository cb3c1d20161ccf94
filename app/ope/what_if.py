"""`truelift replay what-if`, with what a model's policy would have earned where the journal can tell.

Owns the command. The estimate stands beside the report and is not in its digest: who would be assigned follows from the topics
alone and is the same on every machine, what they earned depends on the warehouse too.
"""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from app.contract.canonical import canonical
from app.ope.beside import off_policy, say
from app.replay import whatif_report
from app.replay.commands import From, FromCheckpoint, Json, Partition, State, To, User, replay_app, shown_progress
from app.replay.selection import Selection, read_bound
from app.replay.whatif import what_if
from app.settings import Settings

__all__ = ["replay_app"]


@replay_app.command("what-if")
def what_if_command(
    policy: Annotated[list[Path], typer.Option(help="File of a proposed policy; repeatable.")],
    start: From = None,
    to: To = None,
    partition: Partition = None,
    user: User = None,
    coverage: Annotated[int | None, typer.Option(min=1, max=1000, help="Permille; default the first ramp step.")] = None,
    from_checkpoint: FromCheckpoint = None,
    state: State = "memory",
    out: Annotated[Path | None, typer.Option(help="Write the report, as RFC 8785 JSON, to this file.")] = None,
    json: Json = False,
) -> None:
    """Who would newly qualify, be treated, move variant or leave under a proposed version; with a digest for its approval.

    Of a policy whose model logged its propensities also what the version would have earned, over the whole journal.
    """
    settings, selection = Settings(), Selection(read_bound(start), read_bound(to), partition, user)
    with shown_progress(shown=not json) as on_progress:
        found = asyncio.run(what_if(settings, policy, selection, coverage, state, on_progress, from_checkpoint))
    estimates = off_policy(settings, policy, time.time_ns() // 1000)
    if estimates:
        found = {**found, "off_policy": estimates}
    if out is not None:
        out.write_bytes(canonical(found))
    if json:
        typer.echo(orjson.dumps(found).decode())
    else:
        console = Console()
        whatif_report.show(found, console)
        for line in say(estimates):
            console.print(line, highlight=False, soft_wrap=True)
