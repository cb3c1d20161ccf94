"""Many stores opened side by side: all, or an error; none is left open behind."""

import asyncio
from pathlib import Path

import pytest

from app.stream.opening import open_all
from tables.store import Store, StoreError, shared_memory


def paths_in(folder: Path, count: int) -> list[Path]:
    return [folder / f"counts-{number}.db" for number in range(count)]


async def test_stores_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    paths = paths_in(tmp_path, 12)
    stores = await open_all(paths, shared_memory())
    assert [store.path for store in stores] == paths
    for store in stores:
        store.close()
    assert await open_all([], shared_memory()) == []


async def test_a_store_in_use_is_the_error(tmp_path: Path) -> None:
    paths = paths_in(tmp_path, 3)
    used = Store(paths[1])
    with pytest.raises(StoreError, match=r"counts-1\.db is in use"):
        await open_all(paths, shared_memory())
    used.close()


async def test_an_opening_that_is_cancelled_leaves_no_store_open(tmp_path: Path) -> None:
    paths = paths_in(tmp_path, 12)
    opening = asyncio.create_task(open_all(paths, shared_memory()))
    while not paths[0].exists():  # noqa: ASYNC110 -- a thread has begun
        await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    for path in paths:
        Store(path).close()  # a store that is open cannot be opened
