"""`python -m tests.bench [engine] [throughput] [latency]`: runs what is named (all by default), prints a table, writes JSON.

`python -m tests.bench workers` is for itself, two to three minutes long.
`python -m tests.bench edge`, `restore`, `memory`, `comeback`, `lift`, `models`, `console` and `scaling` have options (--help)
and files of their own under results/.
"""

import asyncio
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from app.stream.broker import EmbeddedBroker
from tests.bench import comeback, edge, engine, latency, lift, memory, models, restore, throughput, workers
from tests.bench import console as paint
from tests.bench.scaling import show as scaling

RESULTS = Path(__file__).parent / "results"
PARTS = ("engine", "throughput", "latency")
ALONE = {
    "edge": edge.main, "memory": memory.main, "restore": restore.main, "comeback": comeback.main, "lift": lift.main,
    "models": models.main, "console": paint.main,
    "scaling": scaling.main,
}  # fmt: skip


def main(parts: list[str]) -> None:
    if parts[0] in ALONE:
        ALONE[parts[0]](parts[1:])
        return
    console = Console()
    if parts == ["workers"]:
        _workers(console)
        return
    found: dict[str, Any] = {"python": platform.python_version()}
    if "engine" in parts:
        found["engine"] = _engine(console)
    if {"throughput", "latency"} & set(parts):
        with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder)) as broker:
            if "throughput" in parts:
                found["throughput"] = asyncio.run(_throughput(console, broker.address, Path(folder)))
            if "latency" in parts:
                found["latency"] = asyncio.run(_latency(console, broker.address, Path(folder)))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench.json").write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))


def _workers(console: Console) -> None:
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder)) as broker:
        result = asyncio.run(workers.measure(broker.address, Path(folder)))
    workers.show(result, console)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "workers.json").write_bytes(orjson.dumps(result.as_json(), option=orjson.OPT_INDENT_2))


def _engine(console: Console) -> dict[str, float]:
    result = engine.measure()
    table = Table("engine alone, 4 policies triggered", "decisions/s", title="Engine beside growthbook")
    table.add_row("truelift, full record", f"{result.ours:,.0f}")
    table.add_row("growthbook package", f"{result.growthbook:,.0f}")
    table.add_row("growthbook package, sticky buckets", f"{result.growthbook_sticky:,.0f}")
    table.add_row("ratio (wanted >= 2)", f"{result.ours / result.growthbook:.2f}")
    table.add_row("ratio, sticky", f"{result.ours / result.growthbook_sticky:.2f}")
    console.print(table)
    return result._asdict()


async def _throughput(console: Console, broker: str, folder: Path) -> list[dict[str, Any]]:
    table = Table("case, 20 policies active", "worker/s", "wanted/s", "bare loop/s", "share", title="Throughput of one worker")
    rows = []
    for case in throughput.CASES:
        result = await throughput.measure(broker, folder, case)
        share = result.worker / result.bare
        table.add_row(case.name, f"{result.worker:,.0f}", f"{case.wanted:,}", f"{result.bare:,.0f}", f"{share:.0%}")
        rows.append({**case._asdict(), "worker": result.worker, "bare": result.bare})
    console.print(table)
    return rows


async def _latency(console: Console, broker: str, folder: Path) -> list[dict[str, Any]]:
    table = Table(
        "signals/s", "records", "p50 ms", "p99 ms", "max ms", title="Appended -> visible, 8 partitions, read_committed"
    )
    rows = []
    for rate in latency.RATES:
        result = await latency.measure(broker, folder, rate)
        table.add_row(*(f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" for value in result))
        rows.append(result._asdict())
    console.print(table)
    return rows


if __name__ == "__main__":
    main(sys.argv[1:] or list(PARTS))
