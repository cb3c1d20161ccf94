"""What others say of the run: the replay of everything, and the independent checker; in two processes of their own.

Refuses to share anything with the run: each of them reads the topics from their beginning.
"""

import asyncio
import logging
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import orjson

from app.checker.check import check
from app.checker.report import CheckReport
from app.contract.topics import EXPOSURES
from app.latency import Latencies
from app.replay.report import SHOWN_FINDINGS, VerifyReport
from app.replay.selection import Selection
from app.replay.verify import verify
from app.settings import Settings
from app.stream.reading import partitions_of, read_to_end

PROCESSES = 2


class Audit(NamedTuple):
    check: CheckReport
    replay: VerifyReport


async def audit(settings: Settings, latencies: Latencies, log: Path) -> Audit:
    """The checker, `replay verify` of each partition, and meanwhile what exposures say of latency."""
    started = time.monotonic()
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), _begin, (log,)) as pool:
        loop = asyncio.get_running_loop()
        checking = loop.run_in_executor(pool, _check, settings)
        replaying = [loop.run_in_executor(pool, _replay, settings, partition) for partition in range(settings.partitions)]
        await _take_exposures(settings, latencies)
        checked, reports = await checking, [await report for report in replaying]
    replayed = merged(reports)
    replayed.seconds = time.monotonic() - started
    return Audit(checked, replayed)


def merged(reports: list[VerifyReport]) -> VerifyReport:
    """One report of several partitions'. Its seconds are left to whoever ran them."""
    whole = VerifyReport()
    for report in reports:
        whole.records += report.records
        whole.compared += report.compared
        whole.identical += report.identical
        whole.outputs_compared += report.outputs_compared
        whole.outputs_identical += report.outputs_identical
        whole.waiting += report.waiting
        whole.counts += report.counts
        whole.shown = [*whole.shown, *report.shown][:SHOWN_FINDINGS]
        whole.partitions += report.partitions
    return whole


async def _take_exposures(settings: Settings, latencies: Latencies) -> None:
    partitions = await partitions_of(settings, [settings.topic(EXPOSURES)])
    async for message in read_to_end(settings, dict.fromkeys(partitions)):
        latencies.take_exposure_body(orjson.loads(message.value))


def _check(settings: Settings) -> CheckReport:
    return asyncio.run(check(settings))


def _replay(settings: Settings, partition: int) -> VerifyReport:
    return asyncio.run(verify(settings, Selection(partition=partition)))


def _begin(file: Path) -> None:
    # Ctrl-C reaches these processes too: the demo says that it was interrupted, they just end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    logging.basicConfig(filename=file, level=logging.WARNING)
