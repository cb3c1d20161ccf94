"""What others say about the run: the replay of everything, and the independent checker. Two processes, a partition at a time.

Refuses to share anything with the run: each process reads the topics from their beginning.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from app.replay.report import SHOWN_FINDINGS, VerifyReport
from app.replay.selection import Selection
from app.replay.verify import verify
from app.settings import Settings

PROCESSES = 2


async def replay_all(settings: Settings, log: Path, say: Callable[[str], None]) -> VerifyReport:
    """`truelift replay verify` of every partition."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), _quiet, (log,)) as pool:
        loop = asyncio.get_running_loop()
        running = [loop.run_in_executor(pool, _verify, settings, partition) for partition in range(settings.partitions)]
        reports = [await report for report in running]
    return merged(reports)


def merged(reports: list[VerifyReport]) -> VerifyReport:
    """One report of several partitions'; seconds: the longest."""
    whole = VerifyReport()
    for report in reports:
        whole.records += report.records
        whole.compared += report.compared
        whole.identical += report.identical
        whole.outputs_compared += report.outputs_compared
        whole.outputs_identical += report.outputs_identical
        whole.waiting += report.waiting
        whole.seconds = max(whole.seconds, report.seconds)
        whole.counts += report.counts
        whole.shown = [*whole.shown, *report.shown][:SHOWN_FINDINGS]
        whole.partitions += report.partitions
    return whole


def _verify(settings: Settings, partition: int) -> VerifyReport:
    return asyncio.run(verify(settings, Selection(partition=partition)))


def _quiet(log: Path) -> None:
    logging.basicConfig(filename=log, level=logging.WARNING)
