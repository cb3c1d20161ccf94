"""A worker's memory: behind by a million records at first, then under an even load. `python -m tests.bench memory --minutes 10`

Writes results/memory.csv (a line a second), memory.json (what it comes to) and memory.png. Exit 1 above the limit.
"""

import argparse
import asyncio
import csv
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from prometheus_client.parser import text_string_to_metric_families as parse

from app.settings import Settings
from app.stream.broker import EmbeddedBroker
from app.stream.ports import kept_ports
from tests.bench import machine
from tests.bench.installation import install, process
from tests.bench.signals import preload, send_paced

RESULTS = Path(__file__).parent / "results"
LIMIT_MB = 600
PARTITIONS = 8
USERS = 100_000
STEADY_RATE = 500
SAMPLE_SECONDS = 1.0
# The steady part's trend is taken from its second half: what a cache fills in the first is no growth.
TREND_SHARE = 0.5
MEGA = 1_000_000


class Sample(NamedTuple):
    """lag: None until the worker's first fetch. in_hand: fetched and not begun, or begun and not committed."""

    seconds: float
    phase: str
    resident_mb: float
    lag_records: int | None
    consumed_records: int
    in_hand_mb: float


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench memory", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="in all, from the start of the worker")
    parser.add_argument("--behind", type=int, default=1_000_000, help="records that wait for the worker")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder)) as broker:
        samples = asyncio.run(_measure(broker.address, Path(folder), options.minutes * 60, options.behind))
    summary = _summary(samples, options.behind)
    _write(samples, summary)
    sys.stdout.write(
        f"behind by {options.behind:,} records, {summary['minutes']:.1f} minutes: at most {summary['max_mb']:.0f} MB "
        f"(limit {LIMIT_MB}), {summary['end_mb']:.0f} MB at the end, caught up {_said(summary['caught_up_seconds'])}, "
        f"{summary['steady_mb_per_minute']:+.2f} MB a minute in the steady part\n"
    )
    sys.exit(summary["max_mb"] > LIMIT_MB)


async def _measure(broker: str, folder: Path, seconds: float, behind: int) -> list[Sample]:
    settings = await install(broker, folder, 1, PARTITIONS)
    settings = settings.model_copy(update={"web_port": kept_ports(folder / "web-ports.json", ["worker"], {})["worker"]})
    await preload(settings, behind, USERS)
    with process(settings, "tests.bench.run_worker") as worker:
        return await _watch(settings, worker.pid, seconds)


async def _watch(settings: Settings, pid: int, seconds: float) -> list[Sample]:
    samples: list[Sample] = []
    load: asyncio.Task[int] | None = None
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        phase = "behind" if load is None else "steady"
        sample = await asyncio.to_thread(_sample, passed, phase, settings.web_port, pid)
        samples.append(sample)
        if load is None and sample.lag_records == 0:
            load = asyncio.create_task(send_paced(settings, STEADY_RATE, seconds - passed, USERS))
        await asyncio.sleep(max(0.0, began + len(samples) * SAMPLE_SECONDS - time.monotonic()))
    if load is not None:
        await load
    return samples


def _sample(seconds: float, phase: str, port: int, pid: int) -> Sample:
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    figures = _figures(port)
    in_hand = figures.get("truelift_epoch_bytes", 0) + figures.get("truelift_backlog_bytes", 0)
    lag = figures.get("truelift_consumer_lag_records")
    consumed = int(figures.get("truelift_records_consumed_total", 0))
    return Sample(round(seconds, 1), phase, resident / MEGA, None if lag is None else int(lag), consumed, in_hand / MEGA)


def _figures(port: int) -> dict[str, float]:
    """Sums over labels; {} while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    found: dict[str, float] = {}
    for family in parse(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def _summary(samples: list[Sample], behind: int) -> dict[str, Any]:
    steady = [sample for sample in samples if sample.phase == "steady"]
    resident = [sample.resident_mb for sample in samples]
    return {
        "behind_records": behind,
        "limit_mb": LIMIT_MB,
        "minutes": samples[-1].seconds / 60,
        "max_mb": max(resident),
        "end_mb": resident[-1],
        "max_in_hand_mb": max(sample.in_hand_mb for sample in samples),
        "caught_up_seconds": steady[0].seconds if steady else None,
        "steady_rate": STEADY_RATE,
        "steady_mb_per_minute": _slope(steady[int(len(steady) * TREND_SHARE) :]) * 60,
        "partitions": PARTITIONS,
        "users": USERS,
        "machine": machine.describe(),
    }


def _slope(samples: list[Sample]) -> float:
    """Least squares, MB a second; 0 where there is no second sample."""
    if len(samples) < 2:
        return 0.0
    times = [sample.seconds for sample in samples]
    middle = sum(times) / len(times)
    level = sum(sample.resident_mb for sample in samples) / len(samples)
    moved = sum((sample.seconds - middle) * (sample.resident_mb - level) for sample in samples)
    return moved / sum((moment - middle) ** 2 for moment in times)


def _said(caught_up: float | None) -> str:
    return "never" if caught_up is None else f"after {caught_up:.0f} s"


def _write(samples: list[Sample], summary: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "memory.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Sample._fields)
        writer.writerows(samples)
    (RESULTS / "memory.json").write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    _plot(samples, summary, RESULTS / "memory.png")


def _plot(samples: list[Sample], summary: dict[str, Any], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(9, 6), height_ratios=(2, 1))
    minutes = [sample.seconds / 60 for sample in samples]
    above.plot(minutes, [sample.resident_mb for sample in samples], label="resident memory")
    above.plot(minutes, [sample.in_hand_mb for sample in samples], label="records, outputs and rows in hand")
    above.axhline(LIMIT_MB, color="tab:red", linestyle="--", label="limit")
    above.set_ylim(0, LIMIT_MB * 1.1)
    above.set_ylabel("MB")
    below.plot(minutes, [sample.lag_records or 0 for sample in samples], color="tab:gray")
    below.set_ylabel("lag, records")
    below.set_xlabel("minutes since the worker's start")
    if summary["caught_up_seconds"] is not None:
        for axes in (above, below):
            axes.axvline(
                summary["caught_up_seconds"] / 60, color="tab:green", linestyle=":", label="caught up; even load begins"
            )
    above.legend(loc="center right")
    figure.suptitle(f"A worker that is behind by {summary['behind_records']:,} records")
    figure.savefig(file, dpi=120)
    pyplot.close(figure)
