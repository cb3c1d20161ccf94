"""What the governance commands share: whose key signs, one event loop a command, output for people or as JSON."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import orjson
import typer
from rich.console import Console

from app.errors import CallerError
from app.governance.drafts import Drafter
from app.governance.keys import SigningKey, key_names, load_key
from app.governance.writer import Appended, GovernanceWriter
from app.settings import Settings

T = TypeVar("T")

As = Annotated[str | None, typer.Option("--as", metavar="NAME", help="The key to sign with; default: TRUELIFT_ACTOR.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays in the log.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
PolicyKey = Annotated[str, typer.Argument(metavar="KEY", help="The policy's key.")]


def run(work: Coroutine[Any, Any, T]) -> T:
    # A broker that is not there is one line of ours, not one of the client's for each attempt.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return asyncio.run(work)


def signing_key(settings: Settings, name: str | None) -> SigningKey:
    chosen = name or settings.actor
    if chosen is None:
        here = ", ".join(key_names(settings)) or "none"
        raise CallerError(f"no key is chosen to sign with (keys here: {here})", "Say --as NAME, or set TRUELIFT_ACTOR")
    return load_key(settings, chosen)


def write(settings: Settings, name: str | None, draft: Drafter, reason: str, json: bool) -> None:
    """One record, signed, appended, read back, and said."""

    async def append() -> Appended:
        async with GovernanceWriter(settings, signing_key(settings, name)) as writer:
            return await writer.append(draft, reason=reason)

    say(run(append()), json)


def say(appended: Appended, json: bool) -> None:
    record = appended.record
    if json:
        print_json({"offset": appended.offset, **record._asdict()})
        return
    subject = record.policy or record.body.get("target") or record.body.get("actor") or ""
    version = f" version {record.rule_version}" if record.rule_version is not None else ""
    line = f"{record.type} {subject}{version}: seq {record.seq}, by {record.actor} as {record.role}"
    Console(highlight=False).print(line, markup=False)


def print_json(value: Any) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
