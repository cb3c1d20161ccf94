"""A sync as a process of its own that can be told where to die, and the judge of what it left behind.

The process is forked from a server that has everything imported, so that thirty lives cost seconds. What runs in it is the real
command. The judge reads the topics and the tables anew and shares no code with the sync.
"""

import multiprocessing
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from app import cli
from app.reading import PartitionReader, topics_here
from app.settings import PREFIX, Settings
from app.warehouse import feed, housekeeping, store, sync
from app.warehouse.lake import opened
from app.warehouse.rows import Values
from app.warehouse.store import Progress, Store

_PASSED = ("broker", "data_dir", "app_id", "topic_prefix", "root_public_key")


class Death(NamedTuple):
    """SIGKILL to itself at the nth commit of any table: before it, after it, or (offsets beside) between rows and offsets."""

    at: str
    nth: int


class Life(NamedTuple):
    """commits: set when the process has committed for the first time."""

    process: BaseProcess
    commits: Event


class Verdict(NamedTuple):
    """lost, doubled: rows by table."""

    lost: dict[str, int]
    doubled: dict[str, int]

    @property
    def exact(self) -> bool:
        return not self.lost and not self.doubled


def start(settings: Settings, *, follow: bool, death: Death | None = None, beside: bool = False) -> Life:
    """beside: with offsets kept beside the commit instead of in it, as a lesser sync would."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.warehouse.syncing"])
    commits = context.Event()
    environment = {PREFIX + name.upper(): str(getattr(settings, name)) for name in _PASSED}
    life = Life(context.Process(target=_live, args=(environment, follow, death, beside, commits)), commits)
    life.process.start()
    return life


def _live(environment: Mapping[str, str], follow: bool, death: Death | None, beside: bool, commits: Event) -> None:
    os.environ.update(environment)
    # Small batches and early merges: a few seconds see what otherwise takes days.
    sync.BATCH_ROWS, feed.PIECE_RECORDS, housekeeping.MERGE_FILES = 100, 40, 2
    if beside:
        store.Store.append, store.Store.progress = _append_beside, _progress_beside  # type: ignore[method-assign]
    _watch(death or Death("never", 0), commits)
    sys.argv = ["truelift", "warehouse", "sync", *(["--follow", "--commit-seconds", "0"] if follow else [])]
    cli.main()


def _watch(death: Death, committed: Event) -> None:
    real: Callable[..., None] = Store.append
    commits = 0

    def append(self: Store, name: str, rows: Any, progress: Progress) -> None:
        nonlocal commits
        commits += 1
        if death.at == "between" and commits == death.nth:
            _save_beside.die = True  # type: ignore[attr-defined]
        if death.at == "before" and commits == death.nth:
            os.kill(os.getpid(), signal.SIGKILL)
        real(self, name, rows, progress)
        committed.set()
        if death.at == "after" and commits == death.nth:
            os.kill(os.getpid(), signal.SIGKILL)

    Store.append = append  # type: ignore[method-assign]


def random_death(seed: int) -> Death:
    rng = random.Random(seed)
    return Death(rng.choice(["before", "after"]), rng.randint(1, 12))


# --- the lesser sync of the negative control --------------------------------------------------------------------------------

_real_append, _NOTHING = Store.append, Progress({}, None)


def _append_beside(self: Store, name: str, rows: Any, progress: Progress) -> None:
    _real_append(self, name, rows, _NOTHING)
    _save_beside(name, progress)


def _save_beside(name: str, progress: Progress) -> None:
    if getattr(_save_beside, "die", False):
        os.kill(os.getpid(), signal.SIGKILL)
    _beside(name).write_bytes(orjson.dumps(progress.summary()))


def _progress_beside(_: Store, name: str) -> Progress:
    return store._progress(orjson.loads(_beside(name).read_bytes())) if _beside(name).exists() else _NOTHING


def _beside(name: str) -> Path:
    return Path(os.environ["TRUELIFT_DATA_DIR"]) / f"{name}.offsets"


# --- the judge --------------------------------------------------------------------------------------------------------------

# Topic -> table -> how many rows a record makes.
_ROWS: dict[str, dict[str, Callable[[Values], int]]] = {
    "decisions": {"journal": lambda _: 1, "decisions": lambda body: len(body["decisions"])},
    "exposures": {"exposures": lambda _: 1},
    "outcomes": {"outcomes": lambda body: len(body["assignments"])},
    "governance": {"governance": lambda _: 1},
}
Place = tuple[int, int, int]


async def judge(settings: Settings) -> Verdict:
    wanted: dict[str, Counter[Place]] = {table: Counter() for tables in _ROWS.values() for table in tables}
    for topic, partitions in (await topics_here(settings)).items():
        for partition in partitions if topic in _ROWS else ():
            async with PartitionReader(settings.kafka(), settings.topic(topic), partition) as reader:
                while (found := await reader.take()) is not None:
                    body = orjson.loads(found.value)
                    for table, count in _ROWS[topic].items():
                        wanted[table].update((partition, found.offset, index) for index in range(count(body)))
    with Store.open(settings) as tables, opened(tables, settings.warehouse() / "spill") as lake:
        there = {
            table: Counter(lake.rows(f"SELECT kafka_partition, kafka_offset, row_index FROM raw.{table}")) for table in wanted
        }
    assert all(wanted.values()), "the topics are empty"
    lost = {table: (places - there[table]).total() for table, places in wanted.items()}
    doubled = {table: (there[table] - places).total() for table, places in wanted.items()}
    return Verdict(*({table: count for table, count in found.items() if count} for found in (lost, doubled)))
