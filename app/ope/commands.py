"""`truelift ope`."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from app.analysis.blinding import why_blind
from app.analysis.experiment import stories
from app.analysis.off_policy import Estimate, Evaluation, is_thin
from app.errors import CallerError
from app.governance.log import fold_all
from app.ope.choices import Choices, logged_choices
from app.ope.evaluate import evaluations
from app.ope.rewards import rewards
from app.settings import Settings
from app.warehouse.lake import opened
from app.warehouse.store import Store

ROWS = (("logged mean", "logged"), ("IPS", "ips"), ("self-normalized IPS", "snips"), ("doubly robust", "dr"))


def ope(
    key: Annotated[str, typer.Argument(help="The policy.")],
    candidate: Annotated[
        Path | None, typer.Option(help="File of a proposed version; none: the model alone and the weights alone.")
    ] = None,
    outcome: Annotated[str, typer.Option(help="primary, or secondary[0] and so on.")] = "primary",
    alpha: Annotated[float, typer.Option(min=1e-6, max=0.5, help="Of the intervals.")] = 0.05,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """What a candidate would have earned, by the journalled propensities. Refused where the log cannot know."""
    settings = Settings()
    with Store.open(settings) as store, opened(store, settings.warehouse() / "spill") as lake:
        lake.use_raw()
        told = stories(lake)
        why = why_blind(told, key, time.time_ns() // 1000) if key in told else None
        if why is not None:
            raise CallerError(f"the arms of {key} are blinded: {why}", "Wait for the last planned look, or end the experiment")
        fold = asyncio.run(fold_all(settings))
        log = fold.state.policies.get(key)
        choices = asyncio.run(logged_choices(settings, key, candidate))
        assert log is not None
        found = evaluations(choices.found, rewards(lake, log.versions[log.newest].policy, outcome), alpha)
    if json:
        typer.echo(orjson.dumps(as_json(key, outcome, choices, found)).decode())
    else:
        for name, evaluation in found.items():
            _show(key, name, outcome, evaluation)
        _say_left_out(choices)


def as_json(key: str, outcome: str, choices: Choices, found: dict[str, Evaluation]) -> dict[str, Any]:
    candidates = {name: {**_plain(one), "thin": is_thin(one)} for name, one in found.items()}
    return {"schema": "truelift.ope/1", "policy": key, "outcome": outcome, "left_out": dict(choices.left_out),
            "candidates": candidates}  # fmt: skip


def _plain(found: Evaluation) -> dict[str, Any]:
    return {name: value._asdict() if isinstance(value, Estimate) else value for name, value in found._asdict().items()}


def _show(key: str, name: str, outcome: str, found: Evaluation) -> None:
    table = Table("", "value", "interval", title=f"{key}: {name} on {outcome}, {found.decisions:,} decisions")
    for words, field in ROWS:
        estimate: Estimate = getattr(found, field)
        table.add_row(words, f"{estimate.value:.5g}", f"{estimate.low:.5g} to {estimate.high:.5g}")
    console = Console()
    console.print(table)
    console.print(f"effective sample size {found.effective_size:,.0f}, largest weight {found.largest_weight:.3g}")
    if is_thin(found):
        console.print("so few rows carry this estimate that its interval means little")


def _say_left_out(choices: Choices) -> None:
    for reason, count in choices.left_out.most_common():
        Console().print(f"{count:,} logged choices are left out: the candidate says {reason} there")
