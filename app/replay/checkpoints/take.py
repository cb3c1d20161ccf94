"""take: a checkpoint made. Each partition is replayed and compared up to one point; what that built is written and signed for.

Refuses to write anything when one byte of the replay differs, or when a record is out of reach: a checkpoint would pass it on.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from app.engine import ENGINE_SEMANTICS
from app.errors import CallerError
from app.governance.drafts import checkpoint
from app.governance.fold import Fold
from app.governance.keys import SigningKey
from app.governance.moves import ROLES_OF
from app.governance.writer import GovernanceWriter
from app.replay.checkpoints.file import write_file, write_section
from app.replay.checkpoints.manifest import Manifest, Section
from app.replay.checkpoints.start import NONE, Start, is_past, nearest, starts_of
from app.replay.checkpoints.vouched import vouched
from app.replay.governance import GovernanceSteps
from app.replay.history import PartitionHistory
from app.replay.partition import PartitionCheck, Progress
from app.replay.report import VerifyReport
from app.replay.selection import EVERYTHING, OPEN, Bound
from app.replay.state import StateKind, replay_state
from app.replay.stepper import Stepper
from app.replay.verify import Chosen, choose
from app.settings import Settings


class Taken(NamedTuple):
    """path None: the replay found differences, and nothing was written. seq: of the governance record that vouches for it."""

    report: VerifyReport
    manifest: Manifest | None = None
    path: Path | None = None
    seq: int | None = None


class Task(NamedTuple):
    """What the proof of one partition needs, in a process of its own."""

    settings: Settings
    topics: list[str]
    partition: int
    start: Start
    until: Bound
    state: StateKind
    part: Path


async def take(
    settings: Settings,
    key: SigningKey,
    reason: str,
    until: Bound = OPEN,
    wanted: str | None = None,
    state: StateKind = "memory",
    progress: Progress = lambda *_: None,
    jobs: int = 1,
) -> Taken:
    """Of every partition, up to its journal's end or to `until`.

    wanted: where to begin, as in `starts_of`; None: at the newest checkpoint that is not past the point, else the beginning.
    """
    began = time.monotonic()
    fold, known = await vouched(settings)
    _check_role(fold, key)
    chosen = await choose(settings, EVERYTHING)
    starts = await starts_of(settings, chosen.topics, chosen.partitions, wanted=wanted or NONE)
    if wanted is None:
        starts |= nearest(known, chosen.partitions, until)[0]
    _check_point(starts.values(), until)
    folder = settings.checkpoints()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".taking-") as scratch:
        parts = {partition: Path(scratch) / str(partition) for partition in chosen.partitions}
        report, sections = await _prove(settings, chosen, starts, until, state, parts, progress, jobs)
        report.seconds = time.monotonic() - began
        if report.counts or report.compared != report.identical:
            return Taken(report)
        manifest = Manifest(ENGINE_SEMANTICS, sections)
        path = write_file(folder, manifest, parts)
    again = next((found for found in known if found.digest == manifest.digest), None)
    seq = await _sign(settings, key, manifest, starts, reason) if again is None else again.seq
    return Taken(report, manifest, path, seq)


def _check_role(fold: Fold, key: SigningKey) -> None:
    """Before the work, not after it."""
    known = fold.state.keys.get(key.key_id)
    roles = ROLES_OF["checkpoint"]
    if known is None or known.revoked or not set(roles) & set(known.roles):
        held = "is not registered" if known is None else "is revoked" if known.revoked else f"holds {', '.join(known.roles)}"
        raise CallerError(
            f"the key {key.name!r} {held}; a checkpoint record needs the role {' or '.join(roles)}",
            "Sign with another key: --as NAME, see truelift keys list",
        )


def _check_point(starts: Iterable[Start], until: Bound) -> None:
    for start in starts:
        if start.section is not None and is_past(start.position, until):
            raise CallerError(
                f"the checkpoint {start.name} is past {until.text} in partition {start.section.partition}",
                "Name an earlier one, or begin at the beginning: --from-checkpoint none",
            )


async def _prove(
    settings: Settings,
    chosen: Chosen,
    starts: Mapping[int, Start],
    until: Bound,
    state: StateKind,
    parts: Mapping[int, Path],
    progress: Progress,
    jobs: int,
) -> tuple[VerifyReport, dict[int, Section]]:
    tasks = [
        Task(settings, chosen.topics, partition, starts[partition], until, state, parts[partition])
        for partition in chosen.partitions
    ]
    whole, sections = VerifyReport(), dict[int, Section]()
    # Spawned, not forked: this process has a running loop and threads of RocksDB.
    with ProcessPoolExecutor(min(jobs, len(tasks)), get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        proofs = [loop.run_in_executor(pool, _prove_in_process, task) for task in tasks] if jobs > 1 else []
        for number, task in enumerate(tasks):
            report, section = await (proofs[number] if proofs else prove(task, progress))
            whole.add(report)
            sections[task.partition] = section
            progress(task.partition, 1, 1)
    return whole, sections


def _prove_in_process(task: Task) -> tuple[VerifyReport, Section]:
    return asyncio.run(prove(task))


async def prove(task: Task, progress: Progress = lambda *_: None) -> tuple[VerifyReport, Section]:
    """One partition, replayed and compared up to the point; its rows there are in the part's file."""
    report = VerifyReport()
    start = task.start
    report.begin(task.partition, start.name, start.position.journal)
    async with GovernanceSteps(task.settings) as governance:
        with replay_state(task.state) as rows:
            start.load(rows)
            check = PartitionCheck(task.partition, EVERYTHING, Stepper(rows), governance, report)
            history = PartitionHistory(task.settings, task.partition, task.topics, check.missing_input, start.position)
            async with history:
                position = await check.advance(history, progress, task.until)
            section = write_section(task.part, task.partition, position, start.records + report.compared, rows)
    return report, section


async def _sign(settings: Settings, key: SigningKey, manifest: Manifest, starts: Mapping[int, Start], reason: str) -> int:
    body = {
        "digest": manifest.digest,
        "file": manifest.name,
        "engine_semantics": manifest.engine_semantics,
        "partitions": len(manifest.sections),
        "records": manifest.records,
        "rows": manifest.rows,
        "from": sorted({start.digest for start in starts.values() if start.digest is not None}),
    }
    async with GovernanceWriter(settings, key) as writer:
        return (await writer.append(checkpoint(body), reason=reason)).record.seq
