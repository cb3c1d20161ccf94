"""`truelift keys …`: who may write what. Only the root key signs these records."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.errors import CallerError
from app.governance.console import Json, Reason, print_json, run, say
from app.governance.keyring import init_root, new_key
from app.governance.keyring import revoke as revoke_key
from app.governance.keys import key_names, load_key, not_after_of, root_public_key
from app.governance.log import fold_all
from app.governance.moves import ROLES
from app.governance.signatures import encode
from app.settings import Settings

keys_app = typer.Typer(no_args_is_help=True, help="Signing keys and their roles.")


@keys_app.command()
def init(json: Json = False) -> None:
    """Make the root key of this installation and write the log's first record."""
    settings = Settings()
    key = run(init_root(settings))
    _say_key(settings, key.name, key.key_id, encode(key.public_key), json)
    if not json:
        Console(soft_wrap=True).print("Keep root.pem offline. Every worker needs TRUELIFT_ROOT_PUBLIC_KEY or root.pub.")


@keys_app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the key's file.")],
    actor: Annotated[str, typer.Option("--actor", help="The person or program that it belongs to.")],
    roles: Annotated[list[str], typer.Option("--role", help=f"Repeatable: {', '.join(ROLES)}.")],
    not_after: Annotated[str | None, typer.Option("--not-after", metavar="DATE", help="Last day or time.")] = None,
    reason: Reason = "a new key",
    json: Json = False,
) -> None:
    """Make a key and register it. Approvals count persons, not keys: give one person one actor name."""
    settings = Settings()
    held = tuple(role for role in ROLES if role in roles)
    if unknown := [role for role in roles if role not in ROLES]:
        raise CallerError(f"unknown role {unknown[0]!r}", f"Known: {', '.join(ROLES)}")
    until = None if not_after is None else not_after_of(not_after)
    key = run(new_key(settings, name, actor, held, not_after=until, reason=reason))
    _say_key(settings, name, key.key_id, encode(key.public_key), json)


@keys_app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="See truelift keys list; the name of a key file works too.")],
    reason: Reason,
    json: Json = False,
) -> None:
    """Refuse everything that a key signs from now on."""
    settings = Settings()
    chosen = load_key(settings, key_id).key_id if key_id in key_names(settings) else key_id
    say(run(revoke_key(settings, chosen, reason=reason)), json)


@keys_app.command("list")
def list_command(json: Json = False) -> None:
    """Every key that the log knows."""
    settings = Settings()
    keys = run(fold_all(settings)).state.keys.values()
    if json:
        rows = [key._asdict() | {"public_key": encode(key.public_key), "roles": list(key.roles)} for key in keys]
        print_json({"root_public_key": root_public_key(settings), "keys": rows})
        return
    table = Table("key id", "actor", "roles", "not after", "state")
    for key in keys:
        state = "revoked" if key.revoked else "valid"
        table.add_row(key.key_id, key.actor, ", ".join(key.roles), key.not_after or "", state)
    Console().print(table)


def _say_key(settings: Settings, name: str, key_id: str, public_key: str, json: bool) -> None:
    if json:
        print_json({"name": name, "key_id": key_id, "public_key": public_key, "file": str(settings.keys() / f"{name}.pem")})
    else:
        Console(highlight=False, soft_wrap=True).print(
            f"key {name}: {key_id} in {settings.keys() / f'{name}.pem'}", markup=False
        )
