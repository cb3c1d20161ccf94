"""verify: every selected journal record made anew from its input and compared byte for byte, with what the step appended.

Owns which partitions are checked, from where, and by how many processes; app/replay/partition.py checks one.
"""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from app.contract.topics import JOURNAL
from app.errors import OperatorError
from app.governance.log import fold_all
from app.reading import topics_here
from app.replay.checkpoints.start import Start, starts_of
from app.replay.governance import GovernanceSteps
from app.replay.history import PartitionHistory
from app.replay.partition import PartitionCheck, Progress
from app.replay.report import VerifyReport
from app.replay.selection import EVERYTHING, Selection
from app.replay.state import StateKind, replay_state
from app.replay.stepper import Stepper
from app.settings import Settings

Starts = Mapping[int, Start]


class Chosen(NamedTuple):
    """The installation's topics, and of its journal the partitions to read."""

    topics: list[str]
    partitions: list[int]


async def choose(settings: Settings, selection: Selection) -> Chosen:
    """OperatorError when there is no journal."""
    there = await topics_here(settings)
    if not there.get(JOURNAL):
        raise OperatorError(
            f"missing topic {settings.topic(JOURNAL)} at {settings.bootstrap()}", "Create with `truelift topics init`"
        )
    counts = (await fold_all(settings)).state.partitions.counts if selection.user is not None else ()
    return Chosen(list(there), selection.partitions_of(there[JOURNAL], counts))


async def verify(
    settings: Settings,
    selection: Selection = EVERYTHING,
    state: StateKind = "memory",
    progress: Progress = lambda *_: None,
    jobs: int = 1,
    checkpoint: str | None = None,
) -> VerifyReport:
    """Partitions one after the other, each with a state of its own; with `jobs`, so many at a time in own processes.

    checkpoint: as `starts_of` takes it; None begins at a checkpoint only where the beginning is gone.
    """
    report, started = VerifyReport(), time.monotonic()
    chosen = await choose(settings, selection)
    starts = await starts_of(settings, chosen.topics, chosen.partitions, selection.entry, checkpoint)
    if jobs > 1 and len(chosen.partitions) > 1:
        await _verify_in_processes(settings, selection, state, progress, jobs, chosen, starts, report)
    else:
        await _verify_here(settings, selection, state, progress, chosen, starts, report)
    report.seconds = time.monotonic() - started
    return report


async def _verify_in_processes(
    settings: Settings,
    selection: Selection,
    state: StateKind,
    progress: Progress,
    jobs: int,
    chosen: Chosen,
    starts: Starts,
    report: VerifyReport,
) -> None:
    """A partition shares nothing with another but the governance log, which each process folds for itself."""
    loop = asyncio.get_running_loop()
    # Spawned, not forked: this process has a running loop and threads of RocksDB.
    with ProcessPoolExecutor(min(jobs, len(chosen.partitions)), get_context("spawn")) as pool:
        parts = [
            loop.run_in_executor(
                pool, _verify_partition, settings, selection, state, Chosen(chosen.topics, [partition]), starts
            )
            for partition in chosen.partitions
        ]
        for partition, part in zip(chosen.partitions, parts, strict=True):
            report.add(await part)
            progress(partition, 1, 1)


def _verify_partition(
    settings: Settings, selection: Selection, state: StateKind, chosen: Chosen, starts: Starts
) -> VerifyReport:
    report = VerifyReport()
    asyncio.run(_verify_here(settings, selection, state, lambda *_: None, chosen, starts, report))
    return report


async def _verify_here(
    settings: Settings,
    selection: Selection,
    state: StateKind,
    progress: Progress,
    chosen: Chosen,
    starts: Starts,
    report: VerifyReport,
) -> None:
    async with GovernanceSteps(settings) as governance:
        for partition in chosen.partitions:
            start = starts[partition]
            report.begin(partition, start.name, start.position.journal)
            with replay_state(state) as rows:
                start.load(rows)
                check = PartitionCheck(partition, selection, Stepper(rows), governance, report)
                history = PartitionHistory(settings, partition, chosen.topics, check.missing_input, start.position)
                async with history:
                    await check.run(history, progress)
