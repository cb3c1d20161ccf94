"""A worker whose disk is damaged under it: it ends, sets the store aside, rebuilds it, and nothing wrong was ever served."""

from pathlib import Path

import pytest

from app.stream.exits import ExitCode
from tests.stream.counting import Run
from tests.tables.damage import cut, files, flip

pytestmark = pytest.mark.kafka

# Enough that a partition's rows fill several blocks of an SST file: some are read long after the store was opened.
USERS = 8_000


def stores(run: Run) -> list[Path]:
    return sorted(path for path in run.folder.glob("**/stores/counts-*.db") if path.is_dir())


def aside(run: Run) -> list[Path]:
    return sorted(path for path in run.folder.glob("**/stores/*.aside-*") if path.is_dir())


async def test_a_block_that_a_running_worker_cannot_read_ends_it_and_its_successor_rebuilds_the_store(counter: Run) -> None:
    await counter.produce(USERS, users=USERS)
    worker = counter.start()
    await counter.outputs(USERS)
    assert await counter.drain(worker) == 0  # its rows are in SST files now
    victim = stores(counter)[2]
    largest = max(victim.glob("*.sst"), key=lambda file: file.stat().st_size)
    flip(largest.name, largest.stat().st_size // 2)(victim)
    evidence = files(victim)[largest.name]

    meets_it = counter.start()
    await counter.ready(meets_it)  # opened, restored and taking records: nothing has read that block yet
    await counter.produce(USERS, users=USERS)
    assert await counter.exit_code(meets_it) == ExitCode.STORE_DAMAGED, counter.log()
    errors = [line for line in counter.log().splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert str(victim) in errors[0]
    assert "Traceback" not in counter.log()

    again = counter.start()
    assert (await counter.final()).exact
    assert f"{victim.name}.aside-1" in counter.log()
    (kept,) = aside(counter)
    assert files(kept)[largest.name] == evidence
    assert await counter.drain(again) == 0


async def test_a_manifest_that_was_cut_while_the_worker_was_away_is_rebuilt_from_the_changelog(counter: Run) -> None:
    """The damage that RocksDB itself takes for an older state."""
    await counter.produce(400)
    worker = counter.start()
    await counter.outputs(400)
    assert await counter.drain(worker) == 0
    worker = counter.start()
    await counter.produce(400)
    await counter.outputs(800)
    counter.kill(worker)  # what it wrote since is in its write-ahead logs alone
    for store in stores(counter):
        (manifest,) = store.glob("MANIFEST-*")
        cut(manifest.name, manifest.stat().st_size // 3)(store)
    again = counter.start()
    await counter.produce(400)
    assert (await counter.final()).exact
    assert len(aside(counter)) == len(stores(counter))
    assert await counter.drain(again) == 0
