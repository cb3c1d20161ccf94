"""A drill's report on one screen: figures as they were counted, never worked out anew."""

from rich.console import Console
from rich.table import Table

from app.chaos.report import Report

# Without a terminal the table still needs its width.
PLAIN_WIDTH = 128
TIMES = ("p50", "p99", "max")


def make_console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)


def show(report: Report, console: Console) -> None:
    plan = report.plan
    console.rule(f"truelift chaos: {plan.minutes:g} minutes, {plan.workers} workers, {plan.brokers} brokers, seed {plan.seed}")
    console.print(_faults(report))
    for line in _lines(report):
        console.print(line, highlight=False, markup=False)
    failures = report.failures()
    for failure in failures:
        console.print(f"[red]✗[/red] {failure}", highlight=False, soft_wrap=True)
    colour = "red" if failures else "green"
    verdict = ", ".join(f"{name} {count}" for name, count in report.bad().items())
    console.print(f"[{colour}]{verdict}[/{colour}]", highlight=False)


def _faults(report: Report) -> Table:
    table = Table(box=None)
    table.add_column("fault")
    table.add_column("how")
    for name in ("count", *(f"{time} s" for time in TIMES)):
        table.add_column(name, justify="right")
    for fault in report.faults:
        kind = report.kind(fault)
        seconds = kind["seconds"]
        times = ["" if seconds[name] is None else f"{seconds[name]:.2f}" for name in TIMES]
        how = fault.how if kind["impossible"] is None else f"not possible here: {kind['impossible']}"
        table.add_row(fault.kind, how, str(kind["count"]), *times)
    return table


def _lines(report: Report) -> list[str]:
    check, verify, happened = report.proof.check, report.proof.verify, report.happened
    ends = ", ".join(f"{code} {count}" for code, count in sorted(happened.ends.items())) or "none"
    moves = ", ".join(f"{name} {count}" for name, count in sorted(report.moves.items()))
    return [
        f"{happened.faults} faults, {report.faults_a_minute:.1f} a minute",
        f"workers that ended in doubt and were started again, by exit code: {ends}",
        f"governance: {moves}",
        f"{report.acknowledged:,} signals at {report.rate:,.0f}/s over {report.load_seconds:.0f} s, {report.unsure} unsure; "
        f"the journal had them all {report.catch_up_seconds:.1f} s later",
        f"check: {sum(check['journal'].values()):,} journal records, {sum(check['rows'].values()):,} rows, "
        f"{check['store_rows']:,} rows of {sum(check['stores'].values())} stores",
        f"replay verify: {verify['identical']:,} of {verify['records']:,} journal records identical",
    ]
