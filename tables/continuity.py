"""Whether the write-ahead logs of a RocksDB go on where its manifest ends: what RocksDB itself does not look at.

A manifest that has lost its tail (a file system after a power cut, a copy that was cut short) opens without an error: RocksDB
takes it for an older state, removes the newer SST files as leftovers and replays the logs over the gap. What it then holds is
wrong and says that it is current. (Without CURRENT it even begins anew in the same directory.) Sequence numbers give it away:
a log is removed only after the manifest knows of a sequence number as high as its last, so the oldest log begins at most one
past the manifest's last, and each log one past the log before.

Owns the two formats as far as that takes: the log format (blocks of 32 KiB; write-ahead logs and manifests share it), the head
of a write batch, and a version edit's fields up to its last sequence number. Refuses: every other judgement, and checksums;
RocksDB makes those. Formats: RocksDB's wiki, "Write Ahead Log File Format" and "MANIFEST".
"""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path

BLOCK_BYTES = 32 << 10
_HEADER = struct.Struct("<IHB")  # checksum, length, type
_RECYCLED_EXTRA_BYTES = 4  # the log's number
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_RECYCLED = 4  # added to a type
_BATCH_HEAD = struct.Struct("<QI")  # sequence number of the first write, number of writes
# Fields of a version edit that come before or with its last sequence number, in the order they are written.
_TEXT_FIELDS = {1}  # comparator
_NUMBER_FIELDS = {2, 3, 9, 10, 203}  # log, next file, previous log, oldest log to keep, largest column family
_LAST_SEQUENCE = 4
# Fields that an older reader may skip have this bit, and a length. The identity of the database is one.
_SKIPPABLE = 1 << 13


def gap(database: Path) -> str | None:
    """What is missing; None where nothing is, or nothing can be told. Safe beside a process that uses the database."""
    with contextlib.suppress(FileNotFoundError):  # it is new, or it changed under our eyes; its missing pieces RocksDB finds
        # Logs first: a manifest that is read later knows more, never less.
        begins = {file: _first_sequence(file) for file in sorted(database.glob("*.log"))}
        logs = [(file, first) for file, first in begins.items() if first is not None]
        if not (database / "CURRENT").exists():
            # RocksDB would begin a new database on top of these. Files of a making that was interrupted hold nothing.
            return "CURRENT is gone" if logs or any(database.glob("*.sst")) else None
        named = (database / "CURRENT").read_bytes().strip()
        manifest = next((file for file in database.glob("MANIFEST-*") if file.name.encode() == named), None)
        if manifest is None:
            return None  # what CURRENT names is not there: RocksDB says so itself
        reached = max(map(_edit_sequence, _records(manifest.read_bytes())), default=0)
        for file, first in logs:
            if first > reached + 1:
                return f"{file.name} begins at sequence {first}, and all that is known before ends at {reached}"
            if file != logs[-1][0]:  # seldom: the process died between two flushes
                reached = max(reached, _last_sequence(file))
    return None


def _first_sequence(log: Path) -> int | None:
    """None: the log is empty. Its first record may be large; its head is in the first block."""
    with log.open("rb") as file:
        block = file.read(_HEADER.size + _RECYCLED_EXTRA_BYTES + _BATCH_HEAD.size)
    if len(block) < _HEADER.size:
        return None
    _, length, kind = _HEADER.unpack_from(block)
    start = _HEADER.size + (_RECYCLED_EXTRA_BYTES if kind > _LAST else 0)
    if length < _BATCH_HEAD.size or len(block) < start + _BATCH_HEAD.size:
        return None
    return int(_BATCH_HEAD.unpack_from(block, start)[0])


def _last_sequence(log: Path) -> int:
    last = 0
    for record in _records(log.read_bytes()):
        if len(record) < _BATCH_HEAD.size:
            break
        sequence, count = _BATCH_HEAD.unpack_from(record)
        last = sequence + max(0, count - 1)
    return last


def _records(data: bytes) -> Iterator[bytes]:
    """Whole records of a log, up to the first thing that is none: a tail that was torn or never written."""
    pieces: list[bytes] = []
    position = 0
    while position + _HEADER.size <= len(data):
        left = BLOCK_BYTES - position % BLOCK_BYTES
        if left < _HEADER.size:  # the rest of a block that has no room for a header
            position += left
            continue
        _, length, kind = _HEADER.unpack_from(data, position)
        start = position + _HEADER.size + (_RECYCLED_EXTRA_BYTES if kind > _LAST else 0)
        kind -= _RECYCLED if kind > _LAST else 0
        if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or start + length > len(data):
            return
        if kind in (_FULL, _FIRST):
            pieces = []
        pieces.append(data[start : start + length])
        if kind in (_FULL, _LAST):
            yield b"".join(pieces)
        position = start + length


def _edit_sequence(edit: bytes) -> int:
    """Of a version edit; 0 where it has none."""
    position = 0
    while position < len(edit):
        field, position = _varint(edit, position)
        if field == _LAST_SEQUENCE:
            return _varint(edit, position)[0]
        if field in _NUMBER_FIELDS:
            _, position = _varint(edit, position)
        elif field in _TEXT_FIELDS or field & _SKIPPABLE:
            length, position = _varint(edit, position)
            position += length
        else:
            return 0
    return 0


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """(value, position after it); LEB128."""
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, position
