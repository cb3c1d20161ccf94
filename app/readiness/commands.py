"""`truelift readiness`, and `truelift policy activate`, which asks it.

Owns the door: a version that treats people differently comes into force when its class is ready, or by an override that the
governance record itself carries. Shadow and A/A treat nobody differently: they are how readiness is found out.
"""

import asyncio
import time
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.contract.policy import Policy, RiskClass
from app.contract.times import HOUR_US
from app.errors import CallerError
from app.governance import drafts
from app.governance.commands import Version, newest, policy_app
from app.governance.console import As, Json, PolicyKey, Reason, run, write
from app.governance.log import fold_all
from app.readiness.judgement import CLASSES, Readiness, judged
from app.readiness.measure import measure, parse_since, rehearsal
from app.settings import Settings

__all__ = ["policy_app", "readiness"]

# What was wrong before and is mended need not stand in the way, nor what was right speak for today.
RECENT_DAYS = 28
DAY_US = 24 * HOUR_US

Override = Annotated[
    bool,
    typer.Option("--without-readiness", help="Although its class is not ready; the record in the log says so, and why not."),
]


def readiness(
    since: Annotated[str | None, typer.Option(help="Only what was recorded from then on (RFC 3339).")] = None,
    risk_class: Annotated[str | None, typer.Option("--class", help="Exit code 1 unless this class is ready.")] = None,
    json: Json = False,
) -> None:
    """Before anything is personalized: which class of policies may be automated now, and why not the others."""
    if risk_class is not None and risk_class not in CLASSES:
        raise CallerError(f"there is no class {risk_class!r}", f"Choose one of {', '.join(CLASSES)}")
    try:
        since_us = parse_since(since)
    except ValueError:
        raise CallerError(f"--since is {since!r}, which is no moment", "Write it as 2026-11-22T10:15:30Z") from None
    found = judged(asyncio.run(measure(Settings(), since_us)))
    if json:
        typer.echo(orjson.dumps(found.as_json()).decode())
    else:
        _show(found, Console())
    if risk_class is not None and found.missing[_known(risk_class)]:
        raise typer.Exit(1)


@policy_app.command()
def activate(
    key: PolicyKey,
    reason: Reason,
    version: Version = None,
    without_readiness: Override = False,
    as_: As = None,
    json: Json = False,
) -> None:
    """Put an approved version in force, at the first step of its ramp. Its class must be ready: truelift readiness."""
    settings = Settings()
    number = version or newest(settings, key, "approved")
    found = run(evidence(settings, key, number, overridden=without_readiness))
    write(settings, as_, drafts.activate(key, number, found), reason, json)


async def evidence(settings: Settings, key: str, number: int, *, overridden: bool) -> dict[str, Any]:
    """What the record carries. CallerError where the class is not ready and nobody has overridden it."""
    state = (await fold_all(settings)).state
    log = state.policies.get(key)
    if log is None or number not in log.versions:
        return {}  # the judge of the log refuses it, with a better word
    policy: Policy = log.versions[number].policy
    if (rehearses := rehearsal(policy)) is not None:
        return {"readiness": {"rehearsal": rehearses}}
    risk_class = state.catalogue.class_in_force(policy)
    found = judged(await measure(settings, time.time_ns() // 1000 - RECENT_DAYS * DAY_US))
    missing = found.missing[risk_class]
    if missing and not overridden:
        raise CallerError(
            f"class {risk_class} is not ready for {key}: {'; '.join(missing)}",
            "Rehearse in shadow and A/A (truelift readiness), or say --without-readiness: the log keeps it",
        )
    return {"readiness": {"class": risk_class, "ready": not missing, "missing": missing, "overridden": bool(missing)}}


def _known(text: str) -> RiskClass:
    return next(name for name in CLASSES if name == text)


def _show(found: Readiness, console: Console) -> None:
    table = Table(box=None)
    for name in ("question", "measured", *CLASSES):
        table.add_column(name, overflow="fold")
    for question, answer in found.answers:
        marks = [
            "[dim]not asked[/dim]" if name not in question.bounds else _mark(question.holds(answer, name)) for name in CLASSES
        ]
        table.add_row(question.name, escape(answer.said), *marks)
    console.print(table)
    for name in CLASSES:
        said = "[green]may be automated[/green]" if found.ready(name) else "[red]not yet[/red]"
        console.print(f"{name}: {said}", highlight=False)


def _mark(holds: bool) -> str:
    return "[green]yes[/green]" if holds else "[red]no[/red]"
