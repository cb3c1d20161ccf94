"""The report of traps that went through the pipeline, once each: the dashboard, the truth, and what `truelift lift` says."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from app.simulate.pipeline.agreement import Through

SCHEMA = "truelift.simulation_through_kafka/1"


def as_json(found: Sequence[Through], seed: int) -> dict[str, Any]:
    return {"schema": SCHEMA, "seed": seed, "traps": [_plain(one) for one in found]}


def _plain(one: Through) -> dict[str, Any]:
    trap = one.script.trap
    figures = {name: value for name, value in one._asdict().items() if name not in ("script", "effect")}
    return {
        "trap": trap.name,
        "world": one.script.world,
        "naive": trap.naive,
        "truth": trap.truth,
        "ours": trap.ours,
        **figures,
        "effect": None if one.effect is None else one.effect._asdict(),
    }


def show(found: Sequence[Through], console: Console) -> None:
    table = Table(box=None)
    for name in ("trap", "people", "naive estimate", "p", "true is", "our estimate", "p"):
        table.add_column(name, justify="left" if name in ("trap", "true is") else "right", no_wrap=name == "trap")
    for one in found:
        ours = ("none", "") if one.effect is None else (f"{one.effect.difference:+.4f}", f"{one.effect.p:.2g}")
        naive = f"{one.naive_difference:+.4f}", f"{one.naive_p:.2g}"
        table.add_row(_name(one), f"{one.people:,}", *naive, one.script.trap.truth, *ours)
    console.print(table)
    for one in found:
        _show_words(one, console)
    console.print("One draw each: how often the dashboard is fooled is told without --through-kafka.", style="dim")


def _show_words(one: Through, console: Console) -> None:
    trap = one.script.trap
    console.print(f"[bold]{_name(one)}[/bold]", highlight=False)
    said = [
        ("the dashboard", trap.naive),
        ("true is", trap.truth),
        ("truelift lift", f"{one.verdict}; {one.because}"),
        ("because", trap.ours),
        ("alarms", ", ".join(one.fired) or "none"),
    ]
    for who, text in said:
        console.print(f"  {who}: {text}", highlight=False, soft_wrap=True, markup=False)
    for text in one.differs:
        console.print(f"  differs: {text}", highlight=False, soft_wrap=True, markup=False, style="red")
    if not one.differs:
        console.print("  the warehouse holds what was drawn, to the person", highlight=False, style="green")


def _name(one: Through) -> str:
    return one.script.trap.name + ("" if one.script.world == "tempted" else f", {one.script.world}")
