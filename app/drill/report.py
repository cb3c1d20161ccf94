"""What a drill measured: one figure for every kill and partition, its quantiles, and the verdict."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

MICROSECONDS_A_MS = 1000


class Measured(NamedTuple):
    """Of one kill in one partition, in ms from the kill's append; 0 when no treated record came after it.

    visible: until the last treated record was read by a read_committed reader; decided: until it was decided.
    outrun: treated records that were decided by the kill or what came after it. There must be none.
    """

    kill: int
    partition: int
    kill_offset: int
    visible_ms: float
    decided_ms: float
    outrun: int


class KillReport(NamedTuple):
    """append_ms: from asking for a kill to its being in the chain. clocks_differ_ms: the broker's clock against ours."""

    policy: str
    rate: int
    partitions: int
    signals: int
    seconds: float
    append_ms: tuple[float, ...]
    clocks_differ_ms: float
    figures: tuple[Measured, ...]

    @property
    def outrun(self) -> int:
        return sum(figure.outrun for figure in self.figures)

    @property
    def p99_ms(self) -> float:
        return quantile([figure.visible_ms for figure in self.figures], 0.99)

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": "truelift.drill_report/1",
            "policy": self.policy,
            "rate": self.rate,
            "partitions": self.partitions,
            "kills": len(self.append_ms),
            "signals": self.signals,
            "seconds": round(self.seconds, 1),
            "resolution_ms": 1,
            "clocks_differ_ms": self.clocks_differ_ms,
            "visible_ms": quantiles([figure.visible_ms for figure in self.figures]),
            "decided_ms": quantiles([figure.decided_ms for figure in self.figures]),
            "append_ms": quantiles(self.append_ms),
            "treated_after_kill": self.outrun,
            "figures": [figure._asdict() for figure in self.figures],
        }


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]


def quantiles(values: Sequence[float]) -> dict[str, float]:
    return {"p50": quantile(values, 0.5), "p99": quantile(values, 0.99), "max": max(values)}


def show(report: KillReport, console: Console) -> None:
    console.print(
        f"[bold]{len(report.append_ms)} kills of {report.policy}[/bold], {report.partitions} partitions, "
        f"{report.rate} signals/s asked, {report.signals / max(report.seconds, 1e-9):.0f}/s sent, {report.seconds:.1f} s",
        highlight=False,
        soft_wrap=True,
    )
    table = Table(box=None)
    table.add_column("from the kill's append")
    for name in ("p50", "p99", "max"):
        table.add_column(f"{name} ms", justify="right")
    body = report.as_json()
    for label, name in (
        ("to the last treated record decided", "decided_ms"),
        ("to the last treated record visible", "visible_ms"),
        ("(the append itself, for the writer)", "append_ms"),
    ):
        table.add_row(label, *(f"{body[name][share]:.1f}" for share in ("p50", "p99", "max")))
    console.print(table)
    note = "The append time is the broker's, of 1 ms resolution; 0 means that no treated record came after it."
    if report.clocks_differ_ms:
        differ = f"The broker's clock is off by at least {report.clocks_differ_ms:.0f} ms"
        note = f"{differ}: measured from this machine's clock before the append was asked for."
    console.print(note, style="dim", soft_wrap=True)
    verdict = "[green]0 treated by a worker that knew of the kill[/green]"
    if report.outrun:
        verdict = f"[red]{report.outrun} treated records were decided under the kill[/red]"
    console.print(verdict, highlight=False)
