"""The file: a ZIP archive with manifest.json (RFC 8785) and, for each partition, its rows as gzipped lines of JSON.

Readable with the tools of any machine: `unzip -p FILE manifest.json`, `unzip -p FILE partition-00003.ndjson.gz | zcat`.
Owns writing it whole or not at all, and refusing rows that are not those of the manifest. Hashes are of the uncompressed lines:
compressors may differ, contents may not.
"""

import gzip
import itertools
import os
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from app.errors import OperatorError
from app.replay.checkpoints.lines import lines_of, row_of
from app.replay.checkpoints.manifest import Manifest, Section, digest_of, manifest_of
from app.replay.position import Position
from app.replay.state import ReplayState

MANIFEST = "manifest.json"
# Rows are alike, so the quickest level already makes a tenth of them.
GZIP_LEVEL = 1
PIECE_LINES = 1_000
COPY_BYTES = 1 << 20
# ZIP's first day: the archive says nothing that its content does not.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_UNREADABLE = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, KeyError)


def write_section(part: Path, partition: int, position: Position, records: int, state: ReplayState) -> Section:
    """The rows of one partition to a file of their own, for `write_file` to take up."""
    counts: Counter[str] = Counter()
    hashed = sha256()
    lines = lines_of(state, position.appended_us)
    with part.open("wb") as raw, gzip.GzipFile("", "wb", GZIP_LEVEL, raw, mtime=0) as file:
        while piece := list(itertools.islice(lines, PIECE_LINES)):
            counts.update(table for table, _ in piece)
            content = b"".join(line for _, line in piece)
            hashed.update(content)
            file.write(content)
    return Section(partition, position, records, dict(counts), hashed.hexdigest())


def write_file(folder: Path, manifest: Manifest, parts: Mapping[int, Path]) -> Path:
    """The archive under its final name once it is on the disk."""
    path = folder / manifest.name
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as raw:
        with zipfile.ZipFile(raw, "w") as archive:
            archive.writestr(zipfile.ZipInfo(MANIFEST, _NO_TIME), manifest.raw())
            for partition in manifest.sections:
                member = zipfile.ZipInfo(_member(partition), _NO_TIME)
                with parts[partition].open("rb") as part, archive.open(member, "w", force_zip64=True) as target:
                    shutil.copyfileobj(part, target, COPY_BYTES)
        raw.flush()
        os.fsync(raw.fileno())
    unfinished.rename(path)
    return path


def read_digest(path: Path) -> str:
    """Of the manifest as it lies there."""
    return digest_of(_manifest_bytes(path))


def read_manifest(path: Path, digest: str) -> Manifest:
    """OperatorError when the file's manifest is not the one of `digest`, which the governance log vouches for."""
    raw = _manifest_bytes(path)
    if digest_of(raw) != digest:
        raise OperatorError(
            f"the checkpoint {path} has the digest {digest_of(raw)}, the governance log says {digest}",
            "It was changed after it was made: restore it from a copy, or make a new one with `truelift replay checkpoint`",
        )
    return manifest_of(raw)


def load_section(path: Path, section: Section, state: ReplayState) -> None:
    """Stores the rows of one partition. OperatorError before the first one when they are not those that were hashed."""
    with _opened(path) as archive:
        hashed = sha256()
        with _rows(archive, section.partition) as file:
            while content := file.read(COPY_BYTES):
                hashed.update(content)
        if hashed.hexdigest() != section.sha256:
            raise OperatorError(
                f"the rows of partition {section.partition} in the checkpoint {path} have the SHA-256 {hashed.hexdigest()}, "
                f"its manifest says {section.sha256}",
                "They were changed after it was made: restore the file from a copy, or name another with --from-checkpoint",
            )
        with _rows(archive, section.partition) as file:
            state.store(map(row_of, file))


def _manifest_bytes(path: Path) -> bytes:
    with _opened(path) as archive:
        return archive.read(MANIFEST)


@contextmanager
def _rows(archive: zipfile.ZipFile, partition: int) -> Iterator[gzip.GzipFile]:
    with archive.open(_member(partition)) as packed, gzip.GzipFile(fileobj=packed, mode="rb") as file:
        yield file


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise OperatorError(
            f"there is no checkpoint {path}", "See `truelift replay checkpoints` for those that there are"
        ) from None
    except _UNREADABLE as error:
        raise OperatorError(
            f"the checkpoint {path} cannot be read ({type(error).__name__} {error})",
            "It is damaged or cut off: restore it from a copy, or name another with --from-checkpoint",
        ) from error


def _member(partition: int) -> str:
    return f"partition-{partition:05d}.ndjson.gz"
