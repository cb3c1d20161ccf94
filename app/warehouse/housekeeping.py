"""Keeping the tables quick to read: small files are merged, old snapshots expire, files that nothing names are removed.

Owns when, and the bounds. A merge is one commit that takes the small files out, puts one file in, and carries the Kafka
offsets on: the rows stay the same whenever it is killed. Refuses to remove a file before `KEEP_MINUTES`: a reader may be in it.
"""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan, _dataframe_to_data_files
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import FileScanTask
from pyiceberg.table import Table as IcebergTable

from app.warehouse.columns import TABLES
from app.warehouse.store import Store, local_path, second_writer, summary_of

# A table is looked at after so many commits; so many small files are worth a merge.
MERGE_FILES = 32
# A file of this size is left alone; one merge takes in so much (as stored; in memory some ten times of it).
SMALL_BYTES = 4 << 20
MERGE_BYTES = 16 << 20
# Snapshots and the files that only they name stay so long, for whoever is still reading them. Each commit writes all the
# snapshots that there are into the metadata anew, so that they must be few.
KEEP_MINUTES = 60
TIDY_SECONDS = 600


class Housekeeping:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._commits: Counter[str] = Counter()
        self._tidied_at = time.monotonic()

    def committed(self, name: str) -> None:
        """To be called after each commit of a table."""
        self._commits[name] += 1
        if self._commits[name] >= MERGE_FILES:
            self._commits[name] = 0
            merge(self._store, name, MERGE_FILES)
        if time.monotonic() - self._tidied_at >= TIDY_SECONDS:
            self.tidy()

    def tidy(self) -> None:
        self._tidied_at = time.monotonic()
        for table in TABLES:
            tidy(self._store, table.name, datetime.now(UTC) - timedelta(minutes=KEEP_MINUTES))


def merge(store: Store, name: str, least_files: int) -> int:
    """How many small files became one; 0 when there were too few."""
    table = store.load(name)
    tasks = _small(table)
    snapshot = table.current_snapshot()
    if len(tasks) < least_files or snapshot is None:
        return 0
    rows = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue()).to_table(tasks)
    try:
        with table.transaction() as transaction:
            made = list(_dataframe_to_data_files(transaction.table_metadata, rows, table.io, uuid4()))
            with transaction.update_snapshot(snapshot_properties=summary_of(snapshot)).overwrite() as overwrite:
                for file in made:
                    overwrite.append_data_file(file)
                for task in tasks:
                    overwrite.delete_data_file(task.file)
    except CommitFailedException as error:
        raise second_writer(name, error) from error
    return len(tasks)


def _small(table: IcebergTable) -> list[FileScanTask]:
    """Of the small files the smallest ones, up to what one merge takes in."""
    found = [task for task in table.scan().plan_files() if task.file.file_size_in_bytes < SMALL_BYTES]
    chosen, total = [], 0
    for task in sorted(found, key=lambda task: task.file.file_size_in_bytes):
        total += task.file.file_size_in_bytes
        if total > MERGE_BYTES:
            break
        chosen.append(task)
    return chosen


def tidy(store: Store, name: str, before: datetime) -> int:
    """Snapshots older than `before` expire; of local files, those that no snapshot names and that are older are removed.

    Files of other systems than the local one are left to the catalogue's own maintenance. How many were removed.
    """
    table = store.load(name)
    if any(snapshot.timestamp_ms < before.timestamp() * 1000 for snapshot in table.metadata.snapshots[:-1]):
        table.maintenance.expire_snapshots().older_than(before).commit()
        table = store.load(name)
    if urlsplit(table.location()).scheme != "file":
        return 0
    named = set(_named(table))
    old = [file for file in _files(table) if file.stat().st_mtime < before.timestamp() and file not in named]
    for file in old:
        file.unlink()
    return len(old)


def _named(table: IcebergTable) -> Iterator[Path]:
    """Every file that the table's metadata names: of all its snapshots, and its own former versions."""
    yield local_path(table.metadata_location)
    for former in table.metadata.metadata_log:
        yield local_path(former.metadata_file)
    manifests: dict[str, ManifestFile] = {}  # most are those of the snapshot before
    for snapshot in table.metadata.snapshots:
        yield local_path(snapshot.manifest_list)
        manifests |= {manifest.manifest_path: manifest for manifest in snapshot.manifests(table.io)}
    for path, manifest in manifests.items():
        yield local_path(path)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            yield local_path(entry.data_file.file_path)


def _files(table: IcebergTable) -> Iterator[Path]:
    folder = local_path(table.location())
    for part in ("data", "metadata"):
        yield from (file for file in (folder / part).glob("*") if file.is_file())
