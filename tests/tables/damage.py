"""A store as a crash leaves it, in many copies, and what can happen to its files."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tables.store import NO_OFFSET, Store, StoreDamagedError

BATCHES = 200
FLUSHES = (50, 90, 120, 150)
COMPACTION = 130
LAST_KEY = b"\xff" * 9

Rows = dict[bytes, bytes]
Damage = Callable[[Path], None]


class Image(NamedTuple):
    """The files of a living store: SST files of several flushes and a compaction, rows in the write-ahead log alone.

    rows: at each changelog offset, what a store that says it stands there must hold.
    """

    path: Path
    rows: dict[int, Rows]

    def copy(self, folder: Path) -> Path:
        target = folder / self.path.name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.path, target)
        return target


def crash_image(folder: Path) -> Image:
    store = Store(folder / "living" / "counts-0.db")
    rows: Rows = {}
    history = {NO_OFFSET: {}} | {offset: _batch(store, offset, rows) for offset in range(BATCHES)}
    target = folder / "image" / store.path.name
    shutil.copytree(store.path, target)
    store.close()
    return Image(target, history)


def _batch(store: Store, offset: int, rows: Rows) -> Rows:
    """New rows, rows that are written again and again, deletions; what there is after it."""
    written: dict[bytes, bytes | None] = {
        b"new%04d" % offset: b"value-%04d-" % offset * 40,
        b"hot%02d" % (offset % 37): b"%d" % offset,
    }
    if offset % 11 == 0:
        written[b"new%04d" % (offset // 2)] = None
    store.apply(written, offset)
    for key, value in written.items():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
    if offset in FLUSHES:
        store._db.flush()
    if offset == COMPACTION:
        store._db.compact_range(b"", LAST_KEY)
    return dict(rows)


class Served(NamedTuple):
    """What opening and reading a store came to. wrong: rows that are not those of the offset that it says."""

    offset: int
    wrong: int
    set_aside: Path | None
    raised: StoreDamagedError | None


def serve(path: Path, rows: dict[int, Rows]) -> Served:
    """Opens the store and reads every row, by scan and one by one, as a worker would; no error but the named one passes."""
    store = Store(path)
    wanted = rows[store.changelog_offset]
    try:
        scanned = dict(store.scan(b"", LAST_KEY))
        read = {key: store.read(key) for key in {*wanted, *rows[BATCHES - 1]}}
    except StoreDamagedError as error:
        return Served(store.changelog_offset, 0, store.damaged_aside, error)
    finally:
        store.close()
    wrong = sum(scanned.get(key) != wanted.get(key) for key in {*scanned, *wanted})
    wrong += sum(value != wanted.get(key) for key, value in read.items())
    return Served(store.changelog_offset, wrong, store.damaged_aside, None)


def files(path: Path) -> dict[str, bytes]:
    """What must outlive its damage; RocksDB itself writes its LOG and the directory's config anew."""
    kept = ("*.sst", "*.log", "MANIFEST-*", "CURRENT")
    return {file.name: file.read_bytes() for pattern in kept for file in path.glob(pattern)}


# -- what can happen to a file


def flip(pattern: str, position: int) -> Damage:
    def damage(path: Path) -> None:
        for file in _some(path, pattern):
            content = bytearray(file.read_bytes())
            content[position % len(content)] ^= 0x55
            file.write_bytes(content)

    return damage


def cut(pattern: str, size: int) -> Damage:
    def damage(path: Path) -> None:
        for file in _some(path, pattern):
            file.write_bytes(file.read_bytes()[:size])

    return damage


def remove(pattern: str) -> Damage:
    def damage(path: Path) -> None:
        for file in _some(path, pattern):
            file.unlink()

    return damage


def overwrite(pattern: str) -> Damage:
    def damage(path: Path) -> None:
        for file in _some(path, pattern):
            file.write_bytes(b"\xa5garbage" * 100)

    return damage


def _some(path: Path, pattern: str) -> Iterator[Path]:
    found = sorted(path.glob(pattern))
    assert found, f"{path} has no {pattern}"
    yield from found
