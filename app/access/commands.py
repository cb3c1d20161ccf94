"""`truelift acl ROLE`: the least rights of a role, to read, to hand to Kafka's own tools, or to grant at once."""

import asyncio
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from app.access.roles import ROLES, Need, needs_of
from app.contract.catalogue import DEFAULT_CATALOGUE
from app.errors import CallerError
from app.settings import Settings
from app.stream.acls import grant

_ROLES_HELP = "; ".join(f"{name}: {role.what}" for name, role in ROLES.items())


def acl(
    role: Annotated[str, typer.Argument(metavar="ROLE", help=_ROLES_HELP)],
    user: Annotated[str | None, typer.Option("--user", help="The Kafka user; default: the role's name.")] = None,
    event_type: Annotated[
        list[str] | None,
        typer.Option("--event-type", help="An event type beside those of the default catalogue; repeatable."),
    ] = None,
    commands: Annotated[bool, typer.Option("--commands", help="As lines of kafka-acls.sh.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Grant them on the cluster, as the user of these settings.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """The Kafka rights that a role needs, all of them and no others, with what each is for."""
    if role not in ROLES:
        raise CallerError(f"unknown role {role!r}", f"Known: {', '.join(ROLES)}")
    user = role if user is None else user
    settings = Settings()
    needs = needs_of(role, settings, [*DEFAULT_CATALOGUE.event_types, *(event_type or ())])
    if apply:
        asyncio.run(grant(settings, user, [need.acl for need in needs]))
    if json:
        shown = [need.acl._asdict() | {"why": need.why} for need in needs]
        typer.echo(orjson.dumps({"role": role, "user": user, "applied": apply, "acls": shown}).decode())
    elif commands:
        for need in needs:
            typer.echo(need.acl.line(user, settings.broker or "HOST:PORT"))
    else:
        _show(role, user, needs, apply)


def _show(role: str, user: str, needs: list[Need], applied: bool) -> None:
    rows: dict[tuple[str, str], list[Need]] = {}
    for need in needs:
        name = f"{need.acl.name}*" if need.acl.prefixed else need.acl.name
        rows.setdefault((need.acl.resource, name), []).append(need)
    table = Table(title=f"{role}, as User:{user}", title_justify="left")
    for title in ("resource", "name", "operations"):
        table.add_column(title, no_wrap=title != "operations")
    table.add_column("what for")
    for (resource, name), found in rows.items():
        operations = ", ".join(need.acl.operation for need in found)
        table.add_row(resource, name, operations, "; ".join(dict.fromkeys(need.why for need in found)))
    out = Console()
    out.print(table)
    if applied:
        out.print(f"{len(needs)} rights granted to User:{user}", highlight=False)
