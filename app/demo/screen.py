"""The one screen at the end of a demo: figures as they were counted, never worked out anew."""

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.checker.report import equation
from app.contract.journal import REASONS, STATUSES
from app.demo.expectations import Facts
from app.latency import DECIDED, TOTAL, VISIBLE, Line

# Without a terminal the tables still need their width.
PLAIN_WIDTH = 110


def make_console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=PLAIN_WIDTH, highlight=False)


def show(facts: Facts, failures: list[str], console: Console) -> None:
    console.rule(f"Truelift demo: {facts.real:,} real signals, {facts.generated:,} generated, {facts.seconds:.0f} s")
    console.print(f"[bold]{equation(facts.check)}[/bold]")
    console.print(_decisions(facts))
    console.print(_arms(facts))
    check, asked = facts.check, facts.check.units_asked_for_holdout
    share = check.held_out / asked if asked else 0.0
    console.print(f"holdout: {check.held_out:,} of {asked:,} units = {share:.2%} (declared 10 %), never decided for")
    console.print(_latency(facts.latency))
    for text in facts.told:
        console.print(f"  {text}")
    _verdict(facts, failures, console)


def _decisions(facts: Facts) -> Table:
    """Reasons, statuses and dead letters beside each other, each in its contract's order."""
    columns = (
        ("decisions by reason", _in_order(facts.check.reasons, REASONS)),
        ("journal by status", _in_order(facts.check.journal, STATUSES)),
        ("dead letters by reason", _in_order(facts.check.deadletters, sorted(facts.check.deadletters))),
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title, _ in columns:
        table.add_column(title, no_wrap=True)
        table.add_column("", justify="right")
    for row in zip_longest(*(rows for _, rows in columns), fillvalue=("", "")):
        table.add_row(*(cell for pair in row for cell in pair))
    return table


def _in_order(counts: Mapping[str, int], order: list[str] | tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, f"{counts[name]:,}") for name in order if counts.get(name)]


def _arms(facts: Facts) -> Table:
    """Every arm of every policy: who was assigned, what was shown, what came of it."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("policy", no_wrap=True)
    table.add_column("arm", no_wrap=True)
    for title in ("units", "exposures", "accepted", "duplicate", "refused", "outcomes"):
        table.add_column(title, justify="right")
    check, last = facts.check, ""
    for name in sorted(check.assignments):
        policy, arm = name.split("/", 1)
        said = [check.acknowledgements.get(f"{name} {outcome}", 0) for outcome in ("accepted", "duplicate", "refused")]
        figures = (check.assignments[name], check.exposures.get(name, 0), *said, check.outcomes.get(name, 0))
        table.add_row("" if policy == last else policy, arm, *(f"{figure:,}" if figure else "·" for figure in figures))
        last = policy
    return table


def _latency(lines: list[Line]) -> Table:
    """By event type: p50, p99 and the share within budget, of three spans that begin at the signal."""
    spans = (DECIDED, VISIBLE, TOTAL)
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("ms from the signal", no_wrap=True)
    table.add_column("budget", justify="right", no_wrap=True)
    for title in ("decided p50", "visible p50", "rendered p50"):
        for name in (title, "p99", "within"):
            table.add_column(name, justify="right", no_wrap=True)
    by_name = {(line.span, line.name): line for line in lines if line.by == "event"}
    for name in sorted({name for _, name in by_name}):
        of_name = [by_name.get((span, name)) for span in spans]
        budget = next((line.budget_ms for line in of_name if line is not None), None)
        cells = [cell for line in of_name for cell in _figures(line)]
        table.add_row(name, "" if budget is None else f"{budget:,.0f}", *cells)
    return table


def _figures(line: Line | None) -> tuple[str, str, str]:
    if line is None:
        return "", "", ""
    within = "" if line.within_budget is None else f"{line.within_budget:.1%}"
    return _ms(line.p50_ms), _ms(line.p99_ms), within


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _verdict(facts: Facts, failures: list[str], console: Console) -> None:
    check, replay = facts.check, facts.replay
    colour = "green" if check.clean else "red"
    counted = f"lost {check.lost}, duplicated {check.duplicated}, rerolled {check.rerolled}"
    console.print(
        f"[bold {colour}]{counted}[/bold {colour}]  counted from the topics by a checker that shares no code with the engine"
    )
    colour = "green" if replay.all_identical else "red"
    identical = f"{replay.identical:,} of {replay.compared:,} journal records"
    outputs = f"{replay.outputs_identical:,} of {replay.outputs_compared:,} outputs"
    console.print(
        f"[bold {colour}]replay verify: {'all identical' if replay.all_identical else 'NOT identical'}[/bold {colour}]  "
        f"{identical}, {outputs}, {replay.seconds:.0f} s"
    )
    for failure in failures:
        console.print(f"[red]✗ {escape(failure)}[/red]", soft_wrap=True)
    if not failures:
        console.print("[bold green]✓ every expectation holds[/bold green]")


def show_next_steps(data_dir: Path, truelift: str, environment: Mapping[str, str], broker: bool, console: Console) -> None:
    """Commands that work as printed. broker: whether one has to be started first."""
    console.print("\nThe topics are still there. Look around:", style="bold")
    exports = {"TRUELIFT_DATA_DIR": str(data_dir), **environment}
    commands = [f"export {' '.join(f'{name}={value}' for name, value in exports.items())}"]
    commands += [f"{truelift} broker start"] if broker else []
    commands += [
        f"{truelift} policy log tips_wording_v1          # who changed it, when and why",
        f"{truelift} replay explain --user 00004         # one customer's decisions, gate by gate",
        f"{truelift} replay verify --user 00004",
        f"{truelift} deadletter list",
        f"{truelift} latency",
        f"{truelift} audit onboarding_nudge_v1           # ten points that lift must survive",
        f"{truelift} broker stop",
    ]
    for command in commands:
        console.print(f"  {command}", soft_wrap=True, markup=False)
