"""The same users and policies, once with little and once with four times as much history: what is larger afterwards?

Here the signals come through Kafka and the worker. Each row of each table is counted after a clean stop. The ids of the window
in which repeats are told apart (a day, and a day more for a lagging topic) are all there at the end of a short run: they grow
with the signals of the window, and `seen` shows it. Nothing else may grow.
"""

import asyncio
import shutil
from pathlib import Path
from typing import NamedTuple

from app.engine.values import TABLES
from app.settings import Settings
from tables.store import Store
from tests.bench.growth.cells import disk_mb, new_installation, send, work_off
from tests.bench.installation import process
from tests.bench.peers.processes import usage_of
from tests.bench.restore import PARTITIONS, ready

POLICIES = 20
# As many again and again, so that the last of them are `TIMES` times the first.
TIMES = 4
# What holds one window's event ids, and so has as many rows as the window had signals.
WINDOWED = "seen"
# Restored memory, caches that fill: as much may differ between two runs that hold the same.
RSS_TOLERANCE = 1.15


class Table(NamedTuple):
    rows: int
    mb: float


class Result(NamedTuple):
    signals: int
    tables: dict[str, Table]
    store_mb: float
    rss_mb: float

    def as_json(self) -> dict[str, object]:
        return self._asdict() | {"tables": {name: table._asdict() for name, table in self.tables.items()}}


async def measure(broker: str, folder: Path, users: int) -> list[Result]:
    """After each user's first signal, and after TIMES of each."""
    settings = await new_installation(broker, folder, POLICIES, 1)
    results, total = [], 0
    for rounds in (1, TIMES - 1):
        count = users * rounds
        await send(settings, users, count, each=True)
        total += count
        with process(settings, "tests.bench.run_worker") as worker:
            await ready(settings.web_port)
            await work_off(settings, count, worker.pid)
            rss_mb = usage_of(worker.pid).rss_mb
        tables = await asyncio.to_thread(_tables, settings)
        results.append(Result(total, tables, disk_mb(settings), rss_mb))
    shutil.rmtree(settings.data_dir)
    return results


def problems(results: list[Result]) -> list[str]:
    """What grew with history and may not."""
    before, after = results
    grown = [
        f"{name}: {table.rows:,} rows, {after.tables[name].rows:,} after {TIMES} x the signals"
        for name, table in before.tables.items()
        if name != WINDOWED and after.tables[name].rows > table.rows
    ]
    if after.rss_mb > before.rss_mb * RSS_TOLERANCE:
        grown.append(f"RSS: {before.rss_mb:.0f} MB, {after.rss_mb:.0f} MB after {TIMES} x the signals")
    return grown


def _tables(settings: Settings) -> dict[str, Table]:
    return {table: _count(settings, table) for table in TABLES}


def _count(settings: Settings, table: str) -> Table:
    rows = size = 0
    for partition in range(PARTITIONS):
        for path in settings.data_dir.rglob(f"{table}-{partition}.db"):
            store = Store(path)
            for key, value in store.rows():
                rows += 1
                size += len(key) + len(value)
            store.close()
    return Table(rows, size / 1_000_000)
