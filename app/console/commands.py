"""`truelift console`, and `truelift console enrol`: who may log in there."""

import asyncio
import logging
from typing import Annotated

import typer

from app.console.locked_keys import LockedKeys
from app.governance.keys import load_key
from app.settings import Settings

console_app = typer.Typer(help="Pages for people: see it work, know who changed what, stop it.", invoke_without_command=True)


@console_app.callback()
def console(context: typer.Context) -> None:
    """Serve the console on this machine (127.0.0.1:8090). SIGTERM ends it."""
    if context.invoked_subcommand is not None:
        return
    # Not at the top of the module: `truelift --help` does not wait for them.
    from app.console.server import serve

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(serve(Settings(), lambda address: typer.echo(f"console at {address}")))


@console_app.command()
def enrol(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a key on this machine: truelift keys list.")],
    passphrase: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
) -> None:
    """Let a person log in: their key, sealed with a passphrase. The key file itself may then leave this machine."""
    settings = Settings()
    LockedKeys(settings.console() / "keys").lock(load_key(settings, name), passphrase)
    typer.echo(f"{name} may log in")
