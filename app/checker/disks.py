"""The stores on the workers' disks, read row by row and held against their changelogs.

A store says by itself up to which changelog offset it stands. One that another worker has taken over lies behind, as it may:
of it, the rows that have not changed since are compared. Refuses a store whose worker runs: it changes while it is read.
"""

import fcntl
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, cast

import rocksdict

from app.checker.changelog import TABLES, Changelog

OFFSET_KEY = b"\x00changelog-offset"
_OFFSET = struct.Struct(">q")


class Disk(NamedTuple):
    """A worker's own folder: <data_dir>/workers/<app id>/<instance>."""

    folder: Path

    @property
    def in_use(self) -> bool:
        try:
            with (self.folder / "worker.lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def stores(self, partition: int) -> Iterator[tuple[str, Path]]:
        """(table, path) of its stores of that partition."""
        for table in TABLES:
            path = self.folder / "stores" / f"{table}-{partition}.db"
            if path.exists():
                yield table, path


class Compared(NamedTuple):
    """rows: compared; differing: what is wrong with which key."""

    current: bool
    rows: int
    differing: list[str]


def disks_in(data_dir: Path, app_id: str) -> list[Disk]:
    return [Disk(path) for path in sorted((data_dir / "workers" / app_id).glob("*")) if path.is_dir()]


def read_store(path: Path) -> tuple[int, dict[bytes, bytes]]:
    """(changelog offset, rows)."""
    store = rocksdict.Rdict(str(path), options=rocksdict.Options(raw_mode=True), access_type=rocksdict.AccessType.read_only())
    try:
        rows = dict(cast("Iterator[tuple[bytes, bytes]]", store.items()))
    finally:
        store.close()
    raw = rows.pop(OFFSET_KEY, None)
    return (-1 if raw is None else int(_OFFSET.unpack(raw)[0])), rows


def compare(path: Path, changelog: Changelog) -> Compared:
    """Every row whose last change the store has seen. A current store has no other rows."""
    offset, rows = read_store(path)
    if offset > changelog.end:
        ahead = f"the store is at offset {offset}, its changelog ends at {changelog.end}"
        return Compared(False, 0, [ahead])
    current = offset == changelog.end
    wanted = {key: row.value for key, row in changelog.rows.items() if row.offset <= offset}
    extra = (key for key in rows if current and key not in wanted)
    differing = [_difference(key, rows, wanted) for key, value in wanted.items() if rows.get(key) != value]
    return Compared(current, len(wanted), differing + [_difference(key, rows, wanted) for key in extra])


def _difference(key: bytes, rows: Mapping[bytes, bytes], wanted: Mapping[bytes, bytes | None]) -> str:
    return f"{key[:60]!r}: the store has {_shown(rows.get(key))}, its changelog says {_shown(wanted.get(key))}"


def _shown(value: bytes | None) -> str:
    return "no row" if value is None else repr(value[:80])
