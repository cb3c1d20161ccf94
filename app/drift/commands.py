"""`truelift drift`."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from app.analysis.alarms import alarms, gather
from app.analysis.alarms.alarm import Alarm
from app.analysis.alarms.features import written
from app.analysis.alarms.scored import DAY_US, Daily, Span, reference_of, scores
from app.analysis.alarms.scores import Drift, drifts
from app.analysis.experiment import experiment, stories
from app.analysis.join import Join
from app.drift.daily import dailies
from app.drift.observed import observe
from app.errors import CallerError, OperatorError
from app.settings import Settings
from app.warehouse.lake import opened
from app.warehouse.store import Store

OURS = ("score by arm", "score drift", "feature drift", "calibration")
_EPOCH = date(1970, 1, 1)


def drift(
    key: Annotated[str, typer.Argument(help="The policy.")],
    reference: Annotated[
        str | None, typer.Option(help="Days to compare with, such as 2026-01-05..2026-01-11; else the first seven full ones.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """How far a model's scores and features are from those of its first week, and whether its predictions come true.

    Features are recomputed by a replay and held to the journal's digests. From then on `truelift lift` has their alarms too.
    """
    settings = Settings()
    with Store.open(settings) as store, opened(store, settings.warehouse() / "spill") as lake:
        lake.use_raw()
        found = experiment(stories(lake), key)
        if found.policy.model is None:
            raise CallerError(f"{key} has no model", "Ask `truelift lift`, whose alarms are about people")
        until_us = lake.synced_us()
        if until_us is None:
            raise OperatorError("the warehouse has never been synced to the end", "Run `truelift warehouse sync` once")
        days = reference_of(found) if reference is None else span_of(reference)
        versions = Span(found.first_version, found.last_version)
        observed = asyncio.run(observe(settings, key, versions))
        names = [feature.name for feature in found.policy.model.features]
        features = dailies(observed, names, days, until_us // DAY_US - 1)
        _write(lake.drift_file(key), written(key, (versions.first, versions.last), features))
        join = Join(lake, found, until_us)
        said = [*scores(lake, found, until_us, days), *features]
        read = [alarm for alarm in alarms(gather(lake, found, join)) if alarm.name in OURS]
    if json:
        typer.echo(orjson.dumps(as_json(key, observed.decisions, said, read)).decode())
    else:
        _show(key, observed.decisions, said, read, Console())


def span_of(text: str) -> Span:
    """CallerError: not two days, or the wrong way round."""
    try:
        first, last = (date.fromisoformat(part) for part in text.split(".."))
    except ValueError:
        raise CallerError(f"--reference is {text!r}", "Write two days in UTC, as 2026-01-05..2026-01-11") from None
    if last < first:
        raise CallerError(f"--reference ends on {last}, before it begins on {first}", "Write the earlier day first")
    return Span((first - _EPOCH).days, (last - _EPOCH).days)


def as_json(key: str, decisions: int, found: list[Daily], read: list[Alarm]) -> dict[str, Any]:
    return {
        "schema": "truelift.drift_report/1",
        "policy": key,
        "decisions": decisions,
        "drift": [
            {
                "name": one.name,
                "reference": [_day(day) for day in one.reference],
                "days": [{"day": d.date, "decisions": d.decisions, "psi": d.psi, "p": d.p} for d in drifts(one)],
                "by_arm": {arm: list(bins) for arm, bins in one.by_arm.items()},
            }
            for one in found
        ],
        "alarms": [alarm._asdict() for alarm in read],
    }


def _show(key: str, decisions: int, found: list[Daily], read: list[Alarm], console: Console) -> None:
    table = Table("", "days", "PSI of the last day", "furthest", "on", title=f"{key}: {decisions:,} decisions by its model")
    for one in found:
        days = drifts(one)
        kind = "score of" if one.by_arm else "feature"
        table.add_row(f"{kind} {one.name}", *(_figures(days) if days else ("0", "", "", "")))
    console.print(table)
    for alarm in read:
        style = "yellow" if alarm.fires else "dim"
        said = f"alarm: {alarm.name}: {alarm.said}. {alarm.remedy}" if alarm.fires else f"{alarm.name}: {alarm.said}"
        console.print(said, highlight=False, markup=False, style=style)


def _figures(days: list[Drift]) -> tuple[str, str, str, str]:
    worst = max(days, key=lambda one: one.psi)
    return f"{len(days)}", f"{days[-1].psi:.3f}", f"{worst.psi:.3f}", worst.date


def _day(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat()


def _write(file: Path, content: dict[str, Any]) -> None:
    """Whole or not at all: a lift may read it at any time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".new")
    beside.write_bytes(orjson.dumps(content))
    beside.replace(file)
