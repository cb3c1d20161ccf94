"""`truelift scale` and `truelift partitions`."""

import asyncio
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from app.governance.console import As, Json, print_json, run, signing_key
from app.governance.log import fold_all
from app.governance.writer import GovernanceWriter
from app.scaling import plan as plans
from app.scaling.groups import Sampler, table_of
from app.scaling.plan import Plan
from app.scaling.progress import Counts
from app.scaling.scale import Lead, Scaled, make_plan
from app.settings import Settings

# How often the progress is said.
SAID_SECONDS = 1.0
REFRESH_SECONDS = 1.0


def scale(
    partitions: Annotated[int, typer.Option(min=1, help="A multiple of the partitions that there are.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would move, and change nothing.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the log.")] = "more partition groups",
    as_: As = None,
    json: Json = False,
) -> None:
    """More partition groups while everything goes on: nobody is rerolled, nothing lost. Killed, run it again: it goes on."""
    settings, out = Settings(), Console(stderr=json, highlight=False)
    if dry_run:
        _show_plan(run(_plan(settings, partitions)), json, out)
        return
    done = run(_scale(settings, partitions, reason, as_, _Voice(out)))
    if json:
        print_json(None if done is None else {"schema": "truelift.scaled/1", **done._asdict(), "counts": done.counts._asdict()})
    elif done is not None:
        _show_pauses(done, out)
    out.print(f"for `truelift topics init` and `check`, set TRUELIFT_PARTITIONS={partitions}", markup=False)


def partitions(
    json: Json = False,
    seconds: Annotated[float, typer.Option(min=0.1, help="Over how long rates are taken.")] = REFRESH_SECONDS,
) -> None:
    """Owner, lag, size, rate and skew of each partition group, live; with --json once. Needs no running worker."""
    settings = Settings()
    if json:
        print_json(run(_once(settings, seconds)))
        return
    try:
        run(_live(settings, seconds))
    except KeyboardInterrupt:
        return


class _Voice:
    """Steps as lines; the progress at most once in SAID_SECONDS."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._next_at = 0.0

    def say(self, what: str) -> None:
        self._out.print(what, markup=False)

    def moved(self, counts: Counts) -> None:
        if time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + SAID_SECONDS
            self.say(f"{counts.arrived:,} units have moved, {counts.ended} of {counts.of} new partitions have all of theirs")

    def read(self, records: int) -> None:
        if time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + SAID_SECONDS
            self.say(f"counting what lives where: {records:,} changelog records")


async def _plan(settings: Settings, partitions: int) -> Plan:
    return await make_plan(settings, await fold_all(settings), partitions, lambda _: None)


async def _scale(settings: Settings, partitions: int, reason: str, as_: str | None, voice: _Voice) -> Scaled | None:
    async with GovernanceWriter(settings, signing_key(settings, as_)) as writer:
        return await Lead(settings, writer, partitions, reason, voice.say, voice.moved, voice.read).run()


def _show_plan(plan: Plan, json: bool, out: Console) -> None:
    if json:
        print_json(plan.as_json())
    else:
        plans.show(plan, out)
    plans.check_strays(plan.inventory, plan.previous)


def _show_pauses(done: Scaled, out: Console) -> None:
    shown = ", ".join(f"{name} {ms:,.0f} ms" for name, ms in done.pauses_ms.items()) or "none moved"
    out.print(f"units that moved: {done.counts.arrived:,}; each lived nowhere for {shown}", markup=False)


async def _once(settings: Settings, seconds: float) -> dict[str, Any]:
    async with Sampler(settings) as sampler:
        await sampler.sample()
        await asyncio.sleep(seconds)
        return (await sampler.sample()).as_json()


async def _live(settings: Settings, seconds: float) -> None:
    async with Sampler(settings) as sampler:
        with Live(console=Console(), auto_refresh=False) as live:
            while True:
                live.update(table_of(await sampler.sample()), refresh=True)
                await asyncio.sleep(seconds)
