"""`truelift drill …`: stops on purpose, measured on the running installation."""

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import Progress

from app.contract.topics import JOURNAL
from app.drill.kill import Plan, end_drill, kill_drill
from app.drill.report import KillReport, show
from app.errors import CallerError
from app.governance.console import As, Json, PolicyKey, print_json, run, signing_key
from app.settings import Settings
from app.stream.reading import partitions_of

drill_app = typer.Typer(no_args_is_help=True, help="Stop things on purpose and measure what happens.")

# What a page of the onboarding area sends: the event that the worked example treats.
DEFAULT_SIGNAL: dict[str, Any] = {
    "properties": {"title": "Onboarding"},
    "context": {"route": "/app/onboarding", "device": "web"},
}
Signal = Annotated[
    Path | None, typer.Option("--signal", metavar="FILE", help="JSON with context and properties of the signals.")
]


@drill_app.command()
def kill(
    key: PolicyKey,
    times: Annotated[int, typer.Option("--times", min=1, help="How often.")] = 50,
    rate: Annotated[int, typer.Option("--rate", min=1, help="Signals a second over all partitions.")] = 500,
    no_load: Annotated[bool, typer.Option("--no-load", help="Only the traffic that is there.")] = False,
    signal: Signal = None,
    p99_ms: Annotated[float | None, typer.Option("--p99-ms", help="Fail (exit code 1) when the p99 is above.")] = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Kill a running policy under load, measure until its last treated record is visible, resume it inside the drill.

    Exit code 1 when a record was treated although it was decided under the kill.
    """
    settings = Settings()
    signer = signing_key(settings, as_)
    template = DEFAULT_SIGNAL if signal is None else _template(signal)

    async def measured() -> KillReport:
        partitions = len(await partitions_of(settings, [settings.topic(JOURNAL)]))
        plan = Plan(key, times, 0 if no_load else rate, partitions, template)
        with Progress(console=Console(stderr=True), transient=True, disable=json) as bar:
            task = bar.add_task(f"killing {key}", total=times)
            return await kill_drill(settings, signer, plan, lambda done: bar.update(task, completed=done))

    report = run(measured())
    if json:
        print_json(report.as_json())
    else:
        show(report, Console())
    if report.outrun or (p99_ms is not None and report.p99_ms > p99_ms):
        raise typer.Exit(1)


@drill_app.command()
def end(key: PolicyKey, as_: As = None) -> None:
    """End a drill that was left open: resume what it killed, and close it."""
    settings = Settings()
    run(end_drill(settings, signing_key(settings, as_), key))
    Console(highlight=False).print(f"the drill of {key} is ended", markup=False)


def _template(file: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise CallerError(f"{file} cannot be used as a signal: {error}", "Give a file with one JSON object") from error
    if not isinstance(found, dict):
        raise CallerError(f"{file} holds no JSON object", 'Write {"context": {…}, "properties": {…}}')
    return found
