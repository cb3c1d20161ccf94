"""`python -m tests.bench scaling`: the run, its table and its JSON. Exit code 1 when anything was lost, doubled or rerolled."""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from app.checker.report import equation
from app.stream.broker import EmbeddedBroker
from tests.bench.scaling.run import COUNTS, Change, Result, measure

RESULTS = Path(__file__).parents[1] / "results"
USERS, RATE, WARM_RATE = 50_000, 500, 2_000


_FIGURES: dict[str, Callable[[Change], str]] = {
    "killed on the way": lambda change: ", ".join(change.killed),
    "truelift scale, s": lambda change: f"{change.seconds:.1f}",
    "units moved": lambda change: f"{change.units_moved:,}",
    "nowhere p50 / p99 / max, ms": lambda change: " / ".join(f"{ms:,.0f}" for ms in change.pauses_ms.values()),
    "waited p50 / p99 / max, ms": lambda change: " / ".join(f"{ms:,.0f}" for ms in change.waits_all[1:]),
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench scaling", description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--rate", type=int, default=RATE, help="records a second while partitions scale")
    parser.add_argument("--warm-rate", type=int, default=WARM_RATE, help="the same for the first page view of each user")
    parser.add_argument("--counts", default=",".join(map(str, COUNTS)), help="partition counts, one after the other")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    # A producer that learns of a partition before its leader does is told so and asks again: no news here.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    console, began = Console(highlight=False), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder)) as broker:
        result = asyncio.run(
            measure(
                broker.address,
                Path(folder),
                users=chosen.users,
                rate=chosen.rate,
                warm_rate=chosen.warm_rate,
                counts=tuple(int(count) for count in chosen.counts.split(",")),
                seed=chosen.seed,
                say=lambda what: console.print(f"{time.monotonic() - began:6.1f} s  {what}", markup=False),
            )
        )
    show(result, console)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scaling.json").write_bytes(orjson.dumps(result.as_json(), option=orjson.OPT_INDENT_2))
    if not result.clean:
        sys.exit(1)


def show(result: Result, console: Console) -> None:
    title = f"Scaling under load: {result.users:,} users, {result.acknowledged:,} records"
    table = Table("", *(f"{change.previous} to {change.partitions}" for change in result.changes), title=title)
    for name, figure in _FIGURES.items():
        table.add_row(name, *(figure(change) for change in result.changes))
    console.print(table)
    console.print("nowhere: from a unit's departure to its arrival; waited: of each user the longest, from append to decision")
    console.print(equation(result.check))
    report = result.check
    console.print(
        f"lost {report.lost}, duplicated {report.duplicated}, rerolled {report.rerolled}, wrong {report.wrong}; "
        f"replay: {result.verify.identical:,} of {result.verify.compared:,} journal records identical"
    )
