"""The report of a simulation: on the screen, as JSON and as a Markdown file that a README can link."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from app.simulate.peeking import DAYS, LIFT, RATE, USERS_A_DAY, Stopped
from app.simulate.trial import Outcome

COLUMNS = ("trap", "naive rejects", "ours rejects", "alarm fires", "on clean data", "naive estimate", "our estimate")
PEEK_COLUMNS = ("rule", "false positives", "power", "mean stop, days")


class Report(NamedTuple):
    """failed: what does not hold, in words."""

    repetitions: int
    seed: int
    outcomes: Sequence[Outcome]
    peeks: Sequence[Stopped]
    failed: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": "truelift.simulation_report/1",
            "repetitions": self.repetitions,
            "seed": self.seed,
            "traps": [_plain(outcome) for outcome in self.outcomes],
            "peeking": [found._asdict() for found in self.peeks],
            "failed": list(self.failed),
        }


def show(report: Report, console: Console) -> None:
    if report.outcomes:
        _show_traps(report.outcomes, console)
    if report.peeks:
        _show_peeks(report.peeks, console)
    for failure in report.failed:
        console.print(f"[red]{failure}[/red]", highlight=False)
    if not report.failed:
        console.print(f"[green]all as it should be[/green] in {report.repetitions:,} repetitions, seed {report.seed}")


def _show_traps(outcomes: Sequence[Outcome], console: Console) -> None:
    table = Table(box=None)
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "trap" else "right")
    for outcome in outcomes:
        table.add_row(*_row(outcome))
    console.print(table)
    for outcome in outcomes:
        console.print(f"[bold]{outcome.trap.name}[/bold]", highlight=False)
        for who, said in _said(outcome):
            console.print(f"  {who}: {said}", highlight=False, soft_wrap=True)


def _show_peeks(peeks: Sequence[Stopped], console: Console) -> None:
    table = Table(box=None, title=_peeking_title(), title_justify="left")
    for name in PEEK_COLUMNS:
        table.add_column(name, justify="left" if name == "rule" else "right")
    for found in peeks:
        table.add_row(*_peek_row(found))
    console.print(table)


def markdown(report: Report) -> str:
    lines = [
        "# Ten traps with a known truth",
        "",
        f"Made by `truelift simulate all --repetitions {report.repetitions} --seed {report.seed} --report FILE`. People are",
        'drawn without any effect; "rejects" is the share of repetitions in which p < .05 was found all the same. Ours is',
        "`app/analysis`, the code that judges live experiments. The estimates are means, as differences of rates.",
        "",
        _md_row(COLUMNS),
        _md_row(["---", *["---:"] * (len(COLUMNS) - 1)]),
        *(_md_row(_row(outcome)) for outcome in report.outcomes),
        "",
        "| trap | the dashboard says | true is | we say | alarm |",
        "| --- | --- | --- | --- | --- |",
        *(
            _md_row([o.trap.name, o.trap.naive, o.trap.truth, o.trap.ours, o.trap.alarm or "none needed"])
            for o in report.outcomes
        ),
        "",
        *(
            f"Where B of `{o.trap.name}` is really better {lifted}.\n"
            for o in report.outcomes
            if (lifted := _lifted(o)) is not None
        ),
        f"## Peeking: {_peeking_title()}",
        "",
        _md_row(PEEK_COLUMNS),
        _md_row(["---", *["---:"] * (len(PEEK_COLUMNS) - 1)]),
        *(_md_row(_peek_row(found)) for found in report.peeks),
        "",
        *(f"- **does not hold**: {failure}" for failure in report.failed),
        *([] if report.failed else ["Everything is as it should be."]),
        "",
    ]
    return "\n".join(lines)


def _plain(outcome: Outcome) -> dict[str, Any]:
    trap = outcome.trap
    return {
        "trap": trap.name,
        "naive": trap.naive,
        "truth": trap.truth,
        "ours": trap.ours,
        "alarm": trap.alarm,
        "naive_rejects": outcome.naive_rejects,
        "rejects": outcome.rejects,
        "alarm_fires": outcome.fires,
        "false_alarms": outcome.false_alarms,
        "worlds": {world: found._asdict() for world, found in outcome.worlds.items()},
    }


def _row(outcome: Outcome) -> list[str]:
    tempted = outcome.worlds["tempted"]
    return [
        outcome.trap.name,
        f"{outcome.naive_rejects:.1%}",
        f"{outcome.rejects:.1%}",
        _share(outcome.fires),
        _share(outcome.false_alarms),
        f"{tempted.naive_difference:+.4f}",
        "none" if outcome.trap.refuses else f"{tempted.difference:+.4f}",
    ]


def _said(outcome: Outcome) -> list[tuple[str, str]]:
    trap, lifted = outcome.trap, _lifted(outcome)
    said = [
        ("the dashboard", trap.naive),
        ("true is", trap.truth),
        ("we say", trap.ours),
        ("alarm", trap.alarm or "none needed"),
    ]
    return said if lifted is None else [*said, ("and where B is really better", lifted)]


def _lifted(outcome: Outcome) -> str | None:
    found = outcome.worlds.get("lifted")
    if found is None:
        return None
    losing, winning = f"it loses on the dashboard in {found.naive_loses:.1%}", f"we find it better in {found.wins:.1%}"
    return f"by {outcome.trap.lift:.0%}: {losing}, {winning}"


def _peek_row(found: Stopped) -> list[str]:
    return [found.rule, f"{found.false_positives:.1%}", f"{found.power:.1%}", f"{found.mean_stop_days:.1f}"]


def _peeking_title() -> str:
    return f"{DAYS} days, {USERS_A_DAY:,} users an arm and day, p = {RATE}; power at {LIFT:+.0%}"


def _share(value: float | None) -> str:
    return "none needed" if value is None else f"{value:.1%}"


def _md_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
