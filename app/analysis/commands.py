"""`truelift stats`: the calculators, for scripts and for checking what Truelift says of its own experiments."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table

from app.analysis.boundaries import boundary
from app.analysis.inputs import read_arm, read_counts, read_distribution, read_number, read_shares, read_whole
from app.analysis.planning import power, sample_size
from app.analysis.proportions import relative_lift
from app.analysis.sequential import USUAL_DIFFERENCE, sequential
from app.analysis.shares import psi, srm

stats_app = typer.Typer(no_args_is_help=True, help="Calculators of experiment statistics. They read nothing but their options.")


def _number(name: str, explanation: str) -> Any:
    """An option read by us: the command line library's own message would not name the value."""
    return _read_option(read_number, name, explanation)


def _whole(name: str, explanation: str) -> Any:
    return _read_option(read_whole, name, explanation)


def _read_option(read: Callable[[str, str], Any], name: str, explanation: str) -> Any:
    def parse(given: Any) -> Any:  # a default comes as it is, an argument as text
        return read(str(given), name)

    return typer.Option(name, parser=parse, metavar="NUMBER", help=explanation)


Control = Annotated[str, typer.Option(help="conversions/users, such as 1000/10000.")]
Treatment = Annotated[str, typer.Option(help="conversions/users, such as 1100/10000.")]
Alpha = Annotated[float, _number("--alpha", "Accepted chance of a false alarm, two-sided; intervals have 1 - alpha.")]
P1 = Annotated[float, _number("--p1", "Conversion rate of the control, such as 0.1.")]
P2 = Annotated[float, _number("--p2", "Conversion rate of the treatment, such as 0.105.")]
Kind = Literal["obrien-fleming", "pocock", "lan-demets"]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@stats_app.command("relative-lift")
def relative_lift_command(control: Control, treatment: Treatment, alpha: Alpha = 0.05, json: Json = False) -> None:
    """Difference (Wald) and relative lift (log-ratio delta method) of two conversion rates, with the pooled z test."""
    _show(relative_lift(read_arm(control, "--control"), read_arm(treatment, "--treatment"), alpha), json)


@stats_app.command("srm")
def srm_command(
    observed: Annotated[str, typer.Option(help="Users counted in each arm, such as 4980,5020.")],
    expected: Annotated[str, typer.Option(help="The shares of the design, such as 0.5,0.5.")],
    json: Json = False,
) -> None:
    """Sample ratio mismatch: chi-square of the arms' sizes, alarm at p < .0005."""
    _show(srm(read_counts(observed, "--observed"), read_shares(expected, "--expected")), json)


@stats_app.command("boundary")
def boundary_command(
    kind: Annotated[Kind, typer.Option(help="lan-demets: spending of O'Brien-Fleming type.")],
    looks: Annotated[int, _whole("--looks", "Looks planned, equally spaced.")],
    alpha: Alpha = 0.05,
    json: Json = False,
) -> None:
    """How far |z| must be out at each planned look, two-sided, so that all looks together err with alpha."""
    _show(boundary(kind, looks, alpha), json)


@stats_app.command("power")
def power_command(
    p1: P1,
    p2: P2,
    n_per_arm: Annotated[int, _whole("--n-per-arm", "Users in each of the two arms.")],
    alpha: Alpha = 0.05,
    json: Json = False,
) -> None:
    """The chance that the pooled z test finds this difference, at one look."""
    _show(power(p1, p2, n_per_arm, alpha), json)


@stats_app.command("sample-size")
def sample_size_command(
    p1: P1,
    p2: P2,
    wanted: Annotated[float, _number("--power", "The chance of finding the difference, such as 0.8.")] = 0.8,
    alpha: Alpha = 0.05,
    json: Json = False,
) -> None:
    """The fewest users an arm with which the pooled z test has this power, at one look."""
    _show(sample_size(p1, p2, wanted, alpha), json)


@stats_app.command("psi")
def psi_command(
    expected: Annotated[str, typer.Option(help="Bins as they were: counts (20,30,50) or shares (0.2,0.3,0.5).")],
    actual: Annotated[str, typer.Option(help="The same bins as they are, as counts or shares.")],
    json: Json = False,
) -> None:
    """Population stability index: stable below .1, moderate below .25, else major."""
    _show(psi(read_distribution(expected, "--expected"), read_distribution(actual, "--actual")), json)


@stats_app.command("sequential")
def sequential_command(
    control: Control,
    treatment: Treatment,
    alpha: Alpha = 0.05,
    tuned_for: Annotated[
        float, _number("--tuned-for", "The absolute difference it shall be narrow for; planned, never fitted.")
    ] = USUAL_DIFFERENCE,
    json: Json = False,
) -> None:
    """Difference of two conversion rates with an interval that holds however often and whenever it is read."""
    _show(sequential(read_arm(control, "--control"), read_arm(treatment, "--treatment"), alpha, tuned_for), json)


def _show(result: Any, json: bool) -> None:
    """result: a NamedTuple; its fields are the keys."""
    figures: dict[str, Any] = result._asdict()
    if json:
        typer.echo(orjson.dumps(figures).decode())
        return
    table = Table(show_header=False, box=None)
    for name, value in figures.items():
        table.add_row(name, _text(value))
    Console().print(table)


def _text(value: Any) -> str:
    if value is None:
        return "no estimate"
    if isinstance(value, list | tuple):
        return "  ".join(_text(part) for part in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
