"""`truelift demo`."""

import asyncio
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.demo.expectations import failures
from app.demo.installation import Installation
from app.demo.open_house import receive
from app.demo.plan import ALL_PURCHASES, SCENES, Plan, check_data
from app.demo.run import run
from app.demo.screen import make_console, show, show_next_steps
from app.errors import CallerError, TrueliftError
from app.settings import Settings

_DEFAULT = Plan()


def demo(
    purchases: Annotated[int, typer.Option(min=1, max=ALL_PURCHASES, help="How many of the real purchases.")] = ALL_PURCHASES,
    users: Annotated[int, typer.Option(min=200, max=100_000, help="Generated users.")] = _DEFAULT.users,
    rate: Annotated[float, typer.Option(min=10, help="Signals a second, of both feeds together.")] = _DEFAULT.rate,
    seed: Annotated[int, typer.Option(help="Of the generated sessions.")] = _DEFAULT.seed,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the broker running.")] = False,
    with_console: Annotated[bool, typer.Option("--console", help="Then a worker and the console go on, until Ctrl-C.")] = False,
    skip: Annotated[
        list[str] | None,
        typer.Option(help=f"Leave out a scene ({', '.join(SCENES)}), to see the demo miss it; repeatable."),
    ] = None,
) -> None:
    """The whole way on real input, then one screen. Exit code 1 when an expectation does not hold."""
    plan = Plan(purchases, users, rate, seed, frozenset(skip or ()))
    if unknown := sorted(plan.skip - set(SCENES)):
        raise CallerError(f"there is no scene {unknown[0]!r}", f"The scenes are {', '.join(SCENES)}")
    check_data()
    console = make_console()
    with Installation(Settings(), keep=keep) as there:
        logging.basicConfig(filename=there.log("demo"), level=logging.WARNING)
        try:
            facts = asyncio.run(run(plan, there, lambda text: _say(console, text)))
        except* TrueliftError as group:
            raise _first(group) from None
        failed = failures(facts)
        show(facts, failed, console)
        if with_console:
            asyncio.run(receive(there, lambda text: console.print(text, highlight=False, soft_wrap=True, markup=False)))
    show_next_steps(_shown(there.folder), _truelift(), there.exports(), there.embedded and not keep, console)
    if failed:
        raise typer.Exit(1)


def _say(console: Console, text: str) -> None:
    console.print(f"[dim]{text}[/dim]")


def _first(group: BaseExceptionGroup[TrueliftError]) -> TrueliftError:
    """What went wrong first; the rest was ended by it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, TrueliftError)
    return error


def _shown(path: Path) -> Path:
    """Relative where that is shorter."""
    relative = os.path.relpath(path)
    return Path(relative if len(relative) < len(str(path)) else path)


def _truelift() -> str:
    """How the command is called from here: by its name if that finds this one."""
    here = Path(sys.argv[0])
    found = shutil.which("truelift")
    return "truelift" if found is not None and Path(found).resolve() == here.resolve() else str(_shown(here.absolute()))
