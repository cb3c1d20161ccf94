"""`python -m tests.bench.growth [--users 10000,100000,1000000] [--policies 1,20,100]`: table, results/growth.json, growth.png.

Exit 1 when something grew with history that may not.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from app.stream.broker import EmbeddedBroker
from tests.bench import machine
from tests.bench.growth import cells, history, plot

RESULTS = Path(__file__).parents[1] / "results"
USERS = (10_000, 100_000, 1_000_000)
POLICIES = (1, 20, 100)
SIGNALS = 30_000
# A signal that concerns a hundred policies is a hundred decisions.
DECISIONS = 60_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--users", type=_numbers, default=USERS)
    parser.add_argument("--policies", type=_numbers, default=POLICIES)
    parser.add_argument("--signals", type=int, default=SIGNALS, help="of each cell in which one policy is concerned")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the figures")
    options = parser.parse_args()
    console = Console(width=160)
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as folder, EmbeddedBroker(Path(folder, "kafka")) as broker:
        results = []
        for case in cases(options.users, options.policies, options.signals):
            results.append(asyncio.run(cells.measure(broker.address, Path(folder), case)))
            console.print(results[-1])
        past = asyncio.run(history.measure(broker.address, Path(folder), min(options.users)))
    console.print(_table(results), _past(past))
    grown = history.problems(past)
    console.print(*grown or ["✓ nothing grew with history: only with users, policies and the window of repeats"], sep="\n")
    found = {
        "machine": machine.describe(), "cells": [result._asdict() for result in results],
        "history": [result.as_json() for result in past], "grew_with_history": grown,
    }  # fmt: skip
    options.out.mkdir(exist_ok=True)
    (options.out / "growth.json").write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    plot.draw(results, options.out / "growth.png")
    sys.exit(1 if grown else 0)


def cases(users: Sequence[int], policies: Sequence[int], signals: int) -> list[cells.Case]:
    """Every number of users with every number of policies, one of them concerned; and at the fewest users all concerned."""
    one = [cells.Case(count, number, 1, signals) for count in users for number in policies]
    every = [cells.Case(min(users), number, number, min(signals, DECISIONS // number)) for number in policies if number != 1]
    return one + every


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _table(results: Sequence[cells.Result]) -> Table:
    table = Table(
        "users", "policies", "concerned", "signals/s", "CPU s per 1,000", "rows restored", "restore s", "stores MB", "RSS MB",
        "peak MB", title="One worker, 4 partitions: cost as work grows",
    )  # fmt: skip
    for result in results:
        table.add_row(
            f"{result.users:,}", str(result.policies), str(result.concerned), f"{result.signals_per_second:,.0f}",
            f"{result.cpu_seconds_per_1000:.3f}", f"{result.rows:,}", f"{result.restore_seconds:.1f}",
            f"{result.store_mb:,.0f}", f"{result.rss_mb:,.0f}", f"{result.peak_mb:,.0f}",
        )  # fmt: skip
    return table


def _past(results: Sequence[history.Result]) -> Table:
    names = list(results[0].tables)
    table = Table(
        "signals", *(f"{name} rows / MB" for name in names), "stores MB", "RSS MB", title="The same users, more history"
    )
    for result in results:
        tables = [f"{result.tables[name].rows:,} / {result.tables[name].mb:.1f}" for name in names]
        table.add_row(f"{result.signals:,}", *tables, f"{result.store_mb:.1f}", f"{result.rss_mb:.0f}")
    return table


if __name__ == "__main__":
    main()
