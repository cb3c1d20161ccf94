"""`truelift guardian`, `truelift guardian verify`."""

import asyncio
import fcntl
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.errors import CallerError
from app.governance.console import Json, print_json, run, signing_key
from app.governance.writer import Appended, GovernanceWriter
from app.guardian.guardian import ROLE, Guardian
from app.guardian.ledger import Ledger
from app.guardian.verify import verify
from app.settings import Settings

guardian_app = typer.Typer(help="Pauses what does harm, hour by hour, with a key that can do nothing else.")

KeyName = Annotated[str, typer.Option("--as", metavar="NAME", help="The key to sign with: of the role guardian, and no other.")]


@guardian_app.callback(invoke_without_command=True)
def guardian_command(
    context: typer.Context,
    as_: KeyName = ROLE,
    once: Annotated[bool, typer.Option("--once", help="Judge the hours that are over now, and end.")] = False,
) -> None:
    """Follow outcomes, deliveries and exposures until SIGTERM, and pause a policy whose guardrail is breached."""
    if context.invoked_subcommand is not None:
        return
    settings = Settings()
    with alone(settings), Ledger(ledger_path(settings)) as ledger:
        paused = run(_watch(settings, ledger, as_, once=once))
    typer.echo(f"{len(paused)} policies paused")


@guardian_app.command("verify")
def verify_command(json: Json = False) -> None:
    """Find the evidence of every pause again, from the topics alone. Exit code 1 where it comes out otherwise."""
    found = run(verify(Settings()))
    if json:
        print_json({"schema": "truelift.guardian_verify/1", "pauses": [one._asdict() | {"same": one.same} for one in found]})
    else:
        for one in found:
            typer.echo(f"seq {one.seq} {one.policy}: {'the same' if one.same else 'OTHERWISE'}: {one.said}")
        typer.echo(f"{len(found)} pauses, {sum(not one.same for one in found)} otherwise")
    if not all(one.same for one in found):
        raise typer.Exit(1)


async def _watch(settings: Settings, ledger: Ledger, name: str, *, once: bool) -> list[Appended]:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    key = signing_key(settings, name)
    async with GovernanceWriter(settings, key) as writer:
        known = writer.fold.state.keys.get(key.key_id)
        if known is None or known.roles != (ROLE,):
            held = "unknown to the log" if known is None else f"of the roles {', '.join(known.roles)}"
            remedy = f"Make one for it alone: truelift keys new guardian --actor guardian --role {ROLE}"
            raise CallerError(f"the key {name!r} is {held}", remedy)
        return await Guardian(settings, ledger, writer, _say).run(stopping, once=once)


def ledger_path(settings: Settings) -> Path:
    return settings.data_dir / "guardian" / "ledger.sqlite"


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """One on a machine; a second one on another would only say the same twice: a second pause changes nothing."""
    path = ledger_path(settings).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CallerError(f"a guardian of {path.parent} is running", "Let it go on, or end it first") from None
        yield


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
