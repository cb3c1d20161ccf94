"""`truelift chaos`."""

import asyncio
import logging
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from app.chaos.plan import Plan
from app.errors import CallerError
from app.settings import Settings

_DEFAULT = Plan()


def chaos(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long faults happen.")] = _DEFAULT.minutes,
    workers: Annotated[int, typer.Option(min=2, max=16, help="One more is added and removed meanwhile.")] = _DEFAULT.workers,
    seed: Annotated[int, typer.Option(help="Of the records and of the order of the faults.")] = _DEFAULT.seed,
    brokers: Annotated[int, typer.Option(min=1, max=7, help="An odd number; with one, none can be lost.")] = _DEFAULT.brokers,
    rate: Annotated[int, typer.Option(min=1, help="Signals a second.")] = _DEFAULT.rate,
    session_seconds: Annotated[
        float, typer.Option(min=1, max=60, help="Of the workers: so long is one missed, and so long may a commit take.")
    ] = _DEFAULT.session_timeout_seconds,
    least_rate: Annotated[float, typer.Option(help="Fail below so many signals a second.")] = _DEFAULT.least_rate,
    least_each: Annotated[int, typer.Option(help="Fail below so many faults of a kind.")] = _DEFAULT.least_each,
    least_minute: Annotated[float, typer.Option(help="Fail below so many faults a minute.")] = _DEFAULT.least_each_minute,
    only: Annotated[list[str] | None, typer.Option(help="Faults of this kind alone; repeatable.")] = None,
    enough: Annotated[bool, typer.Option("--enough", help="End as soon as every kind has happened often enough.")] = False,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="The report, as JSON.")] = None,
) -> None:
    """Kill, freeze, starve and cut everything under load, then prove that nothing was lost, repeated, wrong or rerolled.

    Starts a cluster and workers of its own under the data folder. Exit code 1 when anything is wrong, or when less happened
    than was to be proved.
    """
    plan = Plan(
        minutes=minutes,
        workers=workers,
        seed=seed,
        brokers=brokers,
        rate=rate,
        session_timeout_seconds=session_seconds,
        least_rate=least_rate,
        least_each=least_each,
        least_each_minute=least_minute,
        only=tuple(only or ()),
        stop_when_enough=enough,
    )
    check_kinds(plan)
    run_plan(plan, json)


def check_kinds(plan: Plan) -> None:
    """CallerError for a kind that this plan's cluster does not have."""
    from app.chaos.faults import faults_of

    known = [fault.kind for fault in faults_of(range(1, plan.brokers + 1))]
    if unknown := sorted(set(plan.only) - set(known)):
        raise CallerError(f"there is no fault {unknown[0]!r} with {plan.brokers} brokers", f"The kinds are {', '.join(known)}")


def run_plan(plan: Plan, json: Path | None) -> None:
    """The drill and its report; typer.Exit(1) when it failed."""
    # Not at the top of the module: `truelift --help` does not wait for the client libraries.
    import uvloop

    from app.chaos.run import drill
    from app.chaos.screen import make_console, show

    # Clients say at length that brokers are away; here they are meant to be.
    logging.basicConfig(level=logging.CRITICAL)
    console = make_console()

    def say(text: str) -> None:
        console.print(text, style="dim", highlight=False, markup=False)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(drill(Settings(), plan, say))
    show(report, console)
    if json is not None:
        found: dict[str, Any] = report.as_json()
        json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if report.failures():
        raise typer.Exit(1)
