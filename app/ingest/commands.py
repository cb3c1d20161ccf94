"""`truelift ingest FILE`."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app.contract.envelope import Rejection
from app.ingest import sender
from app.ingest.candidate import Candidate
from app.ingest.mapping import load_mapping
from app.ingest.sender import Counts
from app.ingest.source import Input, ReadAhead, candidates, open_input
from app.settings import Settings

# Lines named one by one on the screen; every one of them is in the dead letter.
SHOWN_REJECTIONS = 20
REFRESH_SECONDS = 0.2


def ingest(
    file: Annotated[str, typer.Argument(help="NDJSON of envelopes, or CSV with --map; .gz too; - is standard input.")],
    mapping: Annotated[Path | None, typer.Option("--map", help="YAML: how CSV columns become events.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events a second, at most.")] = None,
    retime: Annotated[
        bool, typer.Option("--retime", help="ts is the moment of sending; the original goes to properties.occurred_at.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Send events to their topics. A line that is not acceptable goes to the dead letter.

    Exits 0 when every line was accepted, 1 when some were rejected, 2 when the input cannot be used.

    A mapping has a field a line, or several such templates under `events:`:

        event_name: page_view
        event_id: {from: [$line, user_id]}
        user_id: $user_id
        ts: {column: date, format: "%Y%m%d"}
        properties.amount: {column: amount_usd, type: number}
    """
    settings = Settings()
    compiled = None if mapping is None else load_mapping(mapping)
    opened = open_input(file)
    with opened.packed:
        screen = _Screen(opened, file)
        with screen.progress:
            counts = asyncio.run(_run(settings, candidates(opened.content, file, compiled), file, rate, retime, screen))
    if json:
        typer.echo(orjson.dumps(vars(counts)).decode())
    else:
        Console().print(f"{counts.lines} lines: {counts.accepted} accepted, {counts.rejected} rejected")
    if counts.rejected:
        more = "" if counts.rejected <= SHOWN_REJECTIONS else f"{counts.rejected - SHOWN_REJECTIONS} more not shown; "
        screen.console.print(
            f"{more}all rejected lines: truelift deadletter list --topic 'ingest:{file}'", highlight=False, soft_wrap=True
        )
        raise typer.Exit(1)


async def _run(
    settings: Settings,
    source: Iterator[Candidate],
    name: str,
    rate: float | None,
    retime: bool,
    screen: "_Screen",
) -> Counts:
    watch = asyncio.create_task(screen.follow())
    try:
        return await sender.ingest(
            settings,
            ReadAhead(source),
            name,
            rate=rate,
            retime=retime,
            counts=screen.counts,
            on_rejected=screen.rejected,
        )
    finally:
        watch.cancel()
        screen.refresh()


class _Screen:
    """The progress bar on standard error: share of the file's bytes, counts, rate; and the first rejected lines."""

    def __init__(self, opened: Input, name: str) -> None:
        self.counts = Counts()
        self.console = Console(stderr=True)
        self._input = opened
        self._started = time.monotonic()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[tally]}"),
            TimeElapsedColumn(),
            console=self.console,
        )
        self._bar = self.progress.add_task(escape(name), total=opened.size, tally="")

    def rejected(self, line: int, rejection: Rejection) -> None:
        if self.counts.rejected <= SHOWN_REJECTIONS:
            self.console.print(
                f"line {line}: {rejection.code}: {rejection.message}", markup=False, highlight=False, soft_wrap=True
            )

    async def follow(self) -> None:
        while True:
            self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)

    def refresh(self) -> None:
        counts = self.counts
        rate = (counts.accepted + counts.rejected) / max(time.monotonic() - self._started, 1e-3)
        tally = f"{counts.accepted} accepted, {counts.rejected} rejected, {rate:,.0f}/s"
        self.progress.update(self._bar, completed=self._input.position, tally=tally)
