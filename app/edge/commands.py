"""`truelift edge`, `truelift writekeys` and `truelift tokens`."""

import asyncio
import gc
import logging
import secrets
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from app.contract.catalogue import WriteKey
from app.edge.rules import PUBLIC_PREFIX, SERVER_PREFIX, hash_of
from app.edge.tokens import TokenKeys
from app.errors import CallerError
from app.governance import drafts
from app.governance.console import As, Json, Reason, print_json, run, signing_key
from app.governance.drafts import Draft
from app.governance.log import fold_all
from app.governance.state import State
from app.governance.writer import GovernanceWriter
from app.settings import Settings

# A request makes some dozens of objects an event and keeps none: a rare collection costs less than many.
GC_THRESHOLDS = (100_000, 50, 100)
KEY_BYTES = 32
ID_CHARS = 12

Kind = Literal["public", "server"]
PREFIXES: dict[Kind, str] = {"public": PUBLIC_PREFIX, "server": SERVER_PREFIX}

writekeys_app = typer.Typer(help="Who may write events through the edge: governed, stored hashed.", no_args_is_help=True)


tokens_app = typer.Typer(help="The keys of exposure and user tokens, shared by all edges.", no_args_is_help=True)


def edge(log_level: str = typer.Option("warning", help="debug, info, warning or error")) -> None:
    """Take events over HTTP: Segment, RudderStack, Snowplow, Amplitude and our own. SIGTERM ends it, answers first."""
    # Not at the top of the module: `truelift --help` does not wait for them.
    import uvloop

    from app.edge.server import serve

    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Of a broker that is away the edge says one line; the client would say one for each attempt.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings = Settings()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, lambda address: typer.echo(f"edge takes events at {address}")))


@tokens_app.command("rotate")
def rotate_tokens() -> None:
    """Make a new key that signs from now on. Tokens of the one before stay valid until the next rotation, older ones end."""
    keys = TokenKeys(Settings().tokens())
    keys.open()
    made, gone = keys.rotate()
    typer.echo(f"key {made} signs; valid: {', '.join(keys.ids())}" + (f"; ended: {', '.join(gone)}" if gone else ""))


@tokens_app.command("list")
def list_tokens() -> None:
    """The ids of the valid keys, the one that signs first; never the keys."""
    keys = TokenKeys(Settings().tokens())
    keys.open()
    typer.echo("\n".join(keys.ids()))


@writekeys_app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose: a site, an app, a service.")],
    reason: Reason,
    server: Annotated[bool, typer.Option("--server", help="For a server: may write acknowledgements; is a secret.")] = False,
    events_per_second: Annotated[int, typer.Option(min=1, max=1_000_000)] = 50_000,
    body_bytes: Annotated[int | None, typer.Option(min=1_024, max=20 << 20, help="Default: what the collector takes.")] = None,
    user_tokens: Annotated[
        bool, typer.Option("--user-tokens", help="Public: a user_id's decisions only for that user's token.")
    ] = False,
    as_: As = None,
    json: Json = False,
) -> None:
    """Make a key and put its hash into the catalogue. The key is shown this once.

    To rotate without a gap: make a new one of the same name, move its users over, revoke the old one.
    """
    kind: Kind = "server" if server else "public"
    key = PREFIXES[kind] + secrets.token_urlsafe(KEY_BYTES)
    entry = WriteKey(
        name=name, kind=kind, sha256=hash_of(key), events_per_second=events_per_second, body_bytes=body_bytes,
        user_tokens=user_tokens,
    )  # fmt: skip
    key_id = entry.sha256[:ID_CHARS]
    _write(as_, reason, lambda known: known | {key_id: entry.model_dump(mode="json")})
    if json:
        print_json({"key_id": key_id, "kind": kind, "name": name, "key": key})
    else:
        typer.echo(f"{kind} key {key_id} of {name}, shown this once:\n{key}")


@writekeys_app.command("list")
def list_keys(json: Json = False) -> None:
    """The keys in force, by id; never the keys themselves."""
    found = run(fold_all(Settings())).catalogue.write_keys
    if json:
        print_json({key_id: key.model_dump(mode="json") for key_id, key in found.items()})
        return
    table = Table("id", "name", "kind", "events/s", "body bytes", "user tokens")
    for key_id, key in found.items():
        table.add_row(
            key_id,
            key.name,
            key.kind,
            f"{key.events_per_second:,}",
            str(key.body_bytes or "the collector's"),
            "needed" if key.user_tokens else "",
        )
    Console().print(table)


@writekeys_app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `truelift writekeys list` shows it.")],
    reason: Reason,
    as_: As = None,
) -> None:
    """Take a key out of force; every edge refuses it from its next look at the log, within a second."""

    def without(known: dict[str, Any]) -> dict[str, Any]:
        if key_id not in known:
            raise CallerError(f"no write key {key_id!r}", "See `truelift writekeys list`")
        return {other: key for other, key in known.items() if other != key_id}

    _write(as_, reason, without)
    typer.echo(f"revoked {key_id}")


def _write(as_: str | None, reason: str, change: Any) -> None:
    """A catalogue record whose keys are changed and nothing else, as the catalogue stands when it is signed."""
    settings = Settings()

    def draft(state: State) -> Draft:
        body = state.catalogue.model_dump(mode="json")
        return drafts.catalogue(body | {"write_keys": change(body["write_keys"])})(state)

    async def append() -> None:
        async with GovernanceWriter(settings, signing_key(settings, as_)) as writer:
            await writer.append(draft, reason=reason)

    run(append())
