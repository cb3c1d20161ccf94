"""What all stores of a process hold together: the bound is the process's, however many partitions it has."""

import os
from pathlib import Path

import pytest

from tables.store import BLOCK_CACHE_BYTES, MEMTABLES_BYTES, WRITE_BUFFER_BYTES, Store, StoreMemory, shared_memory

STORES = 16
# Of each store: less than its own memtable takes, so that nothing but the common bound flushes it.
STORE_BYTES = WRITE_BUFFER_BYTES * 3 // 4
BATCH_ROWS = 100
ROW_BYTES = 1000


def fill(folder: Path, memory: StoreMemory | None) -> list[Store]:
    stores = [Store(folder / f"t-{number}.db", memory) for number in range(STORES)]
    for start in range(0, STORE_BYTES // ROW_BYTES, BATCH_ROWS):
        rows = {b"%08d" % (start + row): os.urandom(ROW_BYTES) for row in range(BATCH_ROWS)}
        for store in stores:
            store.apply(rows, start)
    return stores


def memtable_bytes(stores: list[Store]) -> int:
    return sum(store._db.property_int_value("rocksdb.cur-size-all-mem-tables") or 0 for store in stores)


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "the negative control: each for itself"])
def test_memtables_and_caches_of_all_stores_stay_within_one_bound(tmp_path: Path, shared: bool) -> None:
    memory = shared_memory() if shared else None
    stores = fill(tmp_path, memory)
    held = memtable_bytes(stores)
    if memory is None:
        assert held > MEMTABLES_BYTES * 5 // 4
    else:
        # A flush begins at nine tenths; what is being flushed counts until it is done.
        assert held <= MEMTABLES_BYTES * 5 // 4
        for store in stores:
            for row in range(0, STORE_BYTES // ROW_BYTES, 3):
                store.read(b"%08d" % row)
        assert memory.cache.get_usage() <= BLOCK_CACHE_BYTES * 11 // 10
    for store in stores:
        store.close()
