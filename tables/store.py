"""Transactional RocksDB store of one table and one partition: state and the changelog offset it stands at, in one write.

Owns: opening, point reads, range scans, the atomic batch, finding damage, setting a damaged store aside.
Refuses: policy, decoding of values, asyncio, and deleting anything that it cannot read. No write goes through but `apply`.

The offset is the whole trick (the idea of KIP-892): a batch of rows and the offset of its last changelog record become durable
together or not at all, so after a crash the store says by itself where reading the changelog must go on.
"""

import itertools
import logging
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import rocksdict

from app.errors import OperatorError
from tables import continuity

# Sorts before every key that a table may use; `check_key` keeps tables away from it.
OFFSET_KEY = b"\x00changelog-offset"
NO_OFFSET = -1

# A worker holds partitions x tables stores, so each one is small: two memtables of 8 MiB at most, and those of all stores
# together no more than MEMTABLES_BYTES: past it the store that is being written is flushed.
WRITE_BUFFER_BYTES = 8 << 20
WRITE_BUFFERS = 2
MEMTABLES_BYTES = 64 << 20
BLOCK_BYTES = 4096
BLOOM_BITS_PER_KEY = 10
OPEN_FILES = 128
INFO_LOG_BYTES = 1 << 20
INFO_LOGS = 2
# Read at each open (continuity.py), and begun anew past this size.
MANIFEST_BYTES = 4 << 20
# Shared by all stores of a process; indexes and bloom filters, which grow with the rows, are in it too.
BLOCK_CACHE_BYTES = 64 << 20

# What a directory that was set aside has in its name.
ASIDE = ".aside-"

log = logging.getLogger(__name__)

_OFFSET = struct.Struct(">q")
_NO_SPACE = ("No space left", "Disk quota", "File too large")
# The last one: a file that the manifest or CURRENT names is gone.
_DAMAGE = ("Corruption", "checksum mismatch", "No such file")


class StoreError(OperatorError):
    """The store cannot go on: disk full, lock held, I/O error. Never the fault of a record."""


class StoreDamagedError(StoreError):
    """The files do not hold what was written. The next `open` sets them aside, and the changelog rebuilds the rows."""

    exit_code = 74  # EX_IOERR of sysexits: unlike a full disk, for a supervisor to start again, not for a person


class StoreMemory(NamedTuple):
    """What all stores of a process share, so that its bounds are those of the process."""

    cache: rocksdict.Cache
    memtables: rocksdict.WriteBufferManager


class Store:
    """Rows of one table and one partition as raw bytes, in key order."""

    def __init__(self, path: Path, memory: StoreMemory | None = None) -> None:
        """Open or create the store at `path`; a damaged one is set aside (`damaged_aside`) and a fresh one takes its place."""
        self.path = path
        self._memory = memory
        self.damaged_aside: Path | None = None
        self.damage = ""  # why it was set aside
        self.written_at = _newest_write(path)
        self._db, self.changelog_offset = self._open()
        self.get: Callable[[bytes], bytes | None] = self._db.get

    def read(self, key: bytes) -> bytes | None:
        """The value of `key`; like `get`, with errors named. `get` is the bare function for the hot path."""
        try:
            return self._db.get(key)
        except Exception as error:
            raise self.error(error) from error

    def scan(self, lo: bytes, hi: bytes, limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Rows with lo <= key < hi in key order, at most `limit`; lazily: who stops early pays for what it read."""
        try:
            for key, value in itertools.islice(self._rows(lo), limit):
                if key >= hi:
                    return
                yield key, value
        except Exception as error:
            raise self.error(error) from error

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Every row in key order."""
        yield from self._rows(b"")

    def apply(self, items: Mapping[bytes, bytes | None], changelog_offset: int) -> None:
        """Write all `items` (None deletes) and the offset of the last changelog record that carries them: all or nothing."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        for key, value in items.items():
            if value is None:
                delete(key)
            else:
                put(key, value)
        put(OFFSET_KEY, _OFFSET.pack(changelog_offset))
        try:
            self._db.write(batch)
        except Exception as error:
            raise self.error(error) from error
        self.changelog_offset = changelog_offset

    def close(self) -> None:
        self._db.close()

    def reset(self) -> None:
        """Set the present files aside and begin empty: for a store that is ahead of its changelog."""
        self._db.close()
        self._set_aside("it was ahead of its changelog")
        self._db, self.changelog_offset = self._new()
        self.get = self._db.get

    def error(self, error: Exception) -> StoreError:
        """The named error for one that RocksDB raised. Damage found while running is marked, so that the restart acts on it."""
        text = str(error)
        if isinstance(error, StoreError):
            return error
        if any(mark in text for mark in _NO_SPACE):
            return StoreError(f"disk full at {self.path}: {text}", "Free space or grow the volume, then start the worker again")
        if any(mark in text for mark in _DAMAGE):
            self._mark(text)
            return StoreDamagedError(
                f"damaged store {self.path}: {text}", "Start the worker again: it rebuilds the store from the changelog"
            )
        if "lock" in text.lower():
            return StoreError(
                f"the store {self.path} is in use by another process",
                "Stop that worker, or give this one its own data directory",
            )
        return StoreError(f"the store {self.path} failed: {text}", "Check the disk, then start the worker again")

    # -- opening

    @property
    def _marker(self) -> Path:
        return self.path.with_name(self.path.name + ".damaged")

    def _mark(self, why: str) -> None:
        try:
            self._marker.write_text(why)
        except OSError as error:  # the next open, or its first reads, find the damage anew
            log.warning("%s cannot be written: %s", self._marker, error)

    def _open(self) -> tuple[rocksdict.Rdict, int]:
        if self._marker.exists():
            self._set_aside(self._marker.read_text())
        if (missing := continuity.gap(self.path)) is not None:
            self._set_aside(missing)
        try:
            return self._new()
        except StoreDamagedError as error:
            self._set_aside(error.what)
            return self._new()

    def _new(self) -> tuple[rocksdict.Rdict, int]:
        """(the database, its changelog offset)"""
        database = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            database = rocksdict.Rdict(str(self.path), options=_options(self._memory))
            raw = database.get(OFFSET_KEY)
        except Exception as error:
            if database is not None:
                database.close()
            raise self.error(error) from error
        return database, NO_OFFSET if raw is None else int(_OFFSET.unpack(raw)[0])

    def _set_aside(self, why: str) -> None:
        """Move the files to the first free `<name>.aside-<n>`: evidence is kept, and two failures never share a name."""
        if self.path.exists():
            names = (self.path.with_name(f"{self.path.name}{ASIDE}{number}") for number in itertools.count(1))
            self.damaged_aside = self.path.rename(next(name for name in names if not name.exists()))
            self.damage = why
        self._marker.unlink(missing_ok=True)

    def _rows(self, lo: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._db.items(from_key=lo) if lo else self._db.items():
            if key != OFFSET_KEY:
                yield key, value  # type: ignore[misc]


def check_key(key: bytes) -> None:
    """ValueError for the one key that the store keeps for itself."""
    if key == OFFSET_KEY:
        raise ValueError(f"the key {key!r} is reserved for the changelog offset")


def shared_memory() -> StoreMemory:
    """One for all stores of a process. Writers are not stalled: a flush is faster than any worker writes."""
    return StoreMemory(rocksdict.Cache(BLOCK_CACHE_BYTES), rocksdict.WriteBufferManager(MEMTABLES_BYTES, False))


def _newest_write(path: Path) -> float | None:
    """When the store was last written, as a file time; None for a new one. To be asked before opening, which writes."""
    return max((file.stat().st_mtime for file in path.glob("*.log")), default=None)


def _options(memory: StoreMemory | None) -> rocksdict.Options:
    blocks = rocksdict.BlockBasedOptions()
    blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, False)
    blocks.set_block_size(BLOCK_BYTES)
    options = rocksdict.Options(raw_mode=True)
    if memory is not None:
        blocks.set_block_cache(memory.cache)
        blocks.set_cache_index_and_filter_blocks(True)
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
        options.set_write_buffer_manager(memory.memtables)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(rocksdict.DBCompressionType.lz4())
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(WRITE_BUFFERS)
    options.set_max_open_files(OPEN_FILES)
    options.set_max_log_file_size(INFO_LOG_BYTES)
    options.set_keep_log_file_num(INFO_LOGS)
    options.set_max_manifest_file_size(MANIFEST_BYTES)
    options.set_stats_dump_period_sec(0)
    return options
