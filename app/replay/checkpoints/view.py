"""Checkpoints on a screen and as JSON. Shows; decides nothing."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from app.replay import report
from app.replay.checkpoints.take import Taken
from app.replay.checkpoints.vouched import Vouched


def as_json(taken: Taken) -> dict[str, Any]:
    manifest = taken.manifest
    return {
        "schema": "truelift.checkpoint_taken/1",
        "taken": taken.path is not None,
        "file": None if taken.path is None else str(taken.path),
        "digest": None if manifest is None else manifest.digest,
        "seq": taken.seq,
        "records": None if manifest is None else manifest.records,
        "rows": None if manifest is None else manifest.rows,
        "proof": taken.report.as_json(),
    }


def show_taken(taken: Taken, console: Console) -> None:
    report.show(taken.report, console)
    if taken.manifest is None or taken.path is None:
        console.print("[red]no checkpoint[/red]: what cannot be replayed to the byte would be passed on as if it could")
        return
    manifest = taken.manifest
    console.print(f"checkpoint {taken.path}", highlight=False, soft_wrap=True)
    console.print(
        f"{manifest.records:,} journal records compared since the beginning, {manifest.rows:,} rows, "
        f"{len(manifest.sections)} partitions, governance seq {taken.seq}",
        highlight=False,
    )
    console.print(f"digest {manifest.digest}", highlight=False, soft_wrap=True)


def entry(checkpoint: Vouched) -> dict[str, Any]:
    return {**checkpoint._asdict(), "path": str(checkpoint.path), "here": checkpoint.is_here}


def show_known(known: Sequence[Vouched], console: Console) -> None:
    table = Table("seq", "made", "by", "file", "here", box=None)
    for checkpoint in known:
        here = "yes" if checkpoint.is_here else "[red]no[/red]"
        table.add_row(str(checkpoint.seq), checkpoint.ts, checkpoint.actor, str(checkpoint.path.name), here)
    console.print(table)
    if known:
        console.print(f"in {known[0].path.parent}", highlight=False, soft_wrap=True)
