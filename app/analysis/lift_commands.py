"""`truelift lift`."""

import time
from typing import Annotated, Literal

import orjson
import typer
from rich.console import Console

from app.analysis.blinding import why_blind
from app.analysis.experiment import stories
from app.analysis.inputs import read_whole
from app.analysis.lift import Request
from app.analysis.lift import lift as measure
from app.analysis.lift_screen import show
from app.analysis.looked import due, record_look
from app.analysis.verdict import MARGIN
from app.contract.times import parse_us
from app.errors import CallerError
from app.governance.console import As
from app.settings import Settings
from app.warehouse.lake import opened
from app.warehouse.store import Store

MOST_DAYS = 400
PLANNED_REASON = "a planned look"


def lift(
    key: Annotated[str, typer.Argument(help="The policy.")],
    by: Annotated[
        Literal["device", "locale", "route"] | None, typer.Option(help="Who gains, who loses, where it was shown.")
    ] = None,
    horizon: Annotated[str | None, typer.Option(help="Days, such as 7,28,90: every metric and retention over so long.")] = None,
    cuped: Annotated[
        int, typer.Option(min=0, max=MOST_DAYS, help="Take out of continuous metrics what so many days before explain.")
    ] = 0,
    control: Annotated[str | None, typer.Option(help="The arm to hold the others against; else the policy's first.")] = None,
    margin: Annotated[float, typer.Option(help="Relative: a lift within it is called no difference.")] = MARGIN,
    at: Annotated[str | None, typer.Option(help="As it would have been told then (RFC 3339, with an offset).")] = None,
    look_now: Annotated[bool, typer.Option("--look-now", help="A look by hand, which no plan has: it spends alpha.")] = False,
    as_: As = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why one looks; it stays in the log.")
    ] = PLANNED_REASON,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """What may be claimed of an experiment now: the verdict in words, and all that it rests on.

    While it runs each look is a governance record, written before anything is shown, by the key of --as or TRUELIFT_ACTOR.
    """
    if not 0 < margin < 1:
        raise CallerError(f"--margin is {margin}", "Give a relative lift above 0 and below 1, such as 0.1")
    if look_now and (at is not None or reason == PLANNED_REASON):
        raise CallerError(
            "a look by hand is at what is known now, and needs a reason", "Leave --at out and say why: --reason TEXT"
        )
    request = Request(by, _days(horizon), cuped, control, margin, look_now)
    settings = Settings()
    with Store.open(settings) as store, opened(store, settings.warehouse() / "spill") as lake:
        lake.use_raw()
        now_us = _moment(at)
        report = measure(lake, key, request, now_us)
        told = stories(lake)
    record = due(told, report, by_hand=look_now, blinded=why_blind(told, key, time.time_ns() // 1000) is not None, named=as_)
    if record is not None:
        record_look(settings, as_, record, reason)
    if json:
        typer.echo(orjson.dumps(report.as_json()).decode())
    else:
        show(report, Console())


def _days(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    days = tuple(read_whole(part.strip(), "--horizon") for part in text.split(","))
    if not all(0 < count <= MOST_DAYS for count in days) or len(set(days)) < len(days):
        raise CallerError(f"--horizon is {text!r}", f"Give different numbers of days from 1 to {MOST_DAYS}, such as 7,28,90")
    return days


def _moment(text: str | None) -> int:
    """Microseconds. A moment to come would be answered by what is known now."""
    now_us = time.time_ns() // 1000
    if text is None:
        return now_us
    try:
        return min(parse_us(text), now_us)
    except ValueError:
        raise CallerError(f"--at is {text!r}, which is no moment", "Write it as 2026-11-22T10:15:30Z") from None
