"""The Iceberg tables themselves: opened, created, evolved to the version of this code, appended to.

Owns the one promise of the warehouse: the commit that holds rows holds, in its snapshot's summary, the Kafka offsets up to
which they reach. Whoever goes on from the offsets of the newest snapshot neither loses nor doubles a row, whenever the last
one was killed. Refuses a second writer: its commit fails instead of being repeated on top of ours.

Any catalogue that pyiceberg knows holds them; without a setting it is SQLite with local files.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import orjson
import pyarrow as pa
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, RESTError
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot, ancestors_of
from pyiceberg.types import BooleanType, DoubleType, IcebergType, LongType, NestedField, StringType, TimestamptzType
from sqlalchemy.exc import SQLAlchemyError

from app.errors import OperatorError
from app.settings import Settings
from app.warehouse.columns import BY_NAME, TABLES, Column, Kind, Table
from app.warehouse.rows import Values

NAMESPACE = "truelift"
OFFSETS = "truelift.offsets"
SYNCED = "truelift.synced-us"
VERSION = "truelift.version"
SOURCE = "truelift.topic-prefix"
GENESIS = "truelift.governance-genesis"

ICEBERG: dict[Kind, IcebergType] = {
    "text": StringType(),
    "json": StringType(),
    "whole": LongType(),
    "number": DoubleType(),
    "yes_no": BooleanType(),
    "moment": TimestamptzType(),
}
ARROW: dict[Kind, pa.DataType] = {
    "text": pa.large_string(),
    "json": pa.large_string(),
    "whole": pa.int64(),
    "number": pa.float64(),
    "yes_no": pa.bool_(),
    "moment": pa.timestamp("us", tz="UTC"),
}
PROPERTIES = {
    # pyiceberg answers a lost race by appending the same files once more on top of the winner. The winner is another sync of
    # the same records: every row would be there twice.
    "commit.retry.num-retries": "0",
    # Each commit writes the whole metadata anew; the old files are of no use to anybody.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    # A commit writes one manifest: without merging, a reader would open one file for each commit that there ever was.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
}

Offsets = Mapping[str, Mapping[int, int]]


class Progress(NamedTuple):
    """How far a table has come. offsets: topic -> partition -> the next offset.

    synced_us: everything that was recorded before this moment is in the table; None: the end was never reached.
    """

    offsets: Offsets
    synced_us: int | None

    def next_offset(self, topic: str, partition: int) -> int:
        return self.offsets.get(topic, {}).get(partition, 0)

    def summary(self) -> dict[str, str]:
        offsets = {topic: {str(p): offset for p, offset in sorted(at.items())} for topic, at in sorted(self.offsets.items())}
        properties = {OFFSETS: orjson.dumps(offsets).decode()}
        return properties if self.synced_us is None else properties | {SYNCED: str(self.synced_us)}


class Store:
    """Every table of one installation. `with Store.open(settings) as store`."""

    def __init__(self, catalog: Catalog, topic_prefix: str) -> None:
        self._catalog = catalog
        self._topic_prefix = topic_prefix
        self._tables: dict[str, IcebergTable] = {}

    @classmethod
    def open(cls, settings: Settings) -> Self:
        return cls(_catalog(settings), settings.topic_prefix)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._catalog.close()

    def prepare(self) -> None:
        """Makes the tables that are missing, and brings the older ones to the version of this code."""
        self._catalog.create_namespace_if_not_exists(NAMESPACE)
        for table in TABLES:
            try:
                found = self._catalog.load_table((NAMESPACE, table.name))
            except NoSuchTableError:
                properties = PROPERTIES | {VERSION: str(table.version), SOURCE: self._topic_prefix}
                found = self._catalog.create_table((NAMESPACE, table.name), _schema(table), properties=properties)
            self._check_source(found)
            self._tables[table.name] = _evolved(found, table)

    def exists(self) -> bool:
        return all(self._catalog.table_exists((NAMESPACE, table.name)) for table in TABLES)

    def load(self, name: str) -> IcebergTable:
        """As it is in the catalogue now."""
        try:
            self._tables[name] = self._catalog.load_table((NAMESPACE, name))
        except NoSuchTableError:
            raise OperatorError(f"the warehouse has no table {name}", "Fill it: truelift warehouse sync") from None
        return self._tables[name]

    def progress(self, name: str) -> Progress:
        """Of the newest snapshot that says it: one without offsets is another program's, and added no row of ours.

        OperatorError: rows are there and no offsets with them, so nobody can know where to go on.
        """
        table = self._tables.get(name) or self.load(name)
        for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
            properties = _properties(snapshot)
            if OFFSETS in properties:
                return _progress(properties)
        if table.current_snapshot() is None:
            return Progress({}, None)
        raise OperatorError(
            f"the table {name} has rows, but no snapshot of it says up to which Kafka offsets",
            "Another program rewrote it and let our snapshots expire: roll it back, or drop it and sync anew",
        )

    def append(self, name: str, rows: Sequence[Values] | pa.Table, progress: Progress) -> None:
        """Rows and offsets in one commit. Without rows it is a commit of the offsets alone."""
        table = self._tables[name]
        found = rows if isinstance(rows, pa.Table) else arrow_of(BY_NAME[name], rows)
        try:
            if found.num_rows:
                table.append(found, snapshot_properties=progress.summary())
            else:
                with table.transaction() as transaction:
                    transaction.update_snapshot(snapshot_properties=progress.summary()).fast_append().commit()
        except CommitFailedException as error:
            raise second_writer(name, error) from error

    def bind(self, genesis: str | None) -> None:
        """genesis: what no two installations share. The first sync writes it down, every later one compares."""
        table = self._tables["governance"]
        known = table.properties.get(GENESIS)
        if genesis is None or known == genesis:
            return
        if known is not None:
            raise OperatorError(
                "the warehouse is filled from another installation: its governance log begins otherwise",
                "Set TRUELIFT_BROKER to that one's, or TRUELIFT_WAREHOUSE_DIR (or _CATALOGUE) to a warehouse of this one",
            )
        with table.transaction() as transaction:
            transaction.set_properties({GENESIS: genesis})

    def _check_source(self, table: IcebergTable) -> None:
        prefix = table.properties.get(SOURCE, "")
        if prefix != self._topic_prefix:
            raise OperatorError(
                f"the warehouse is filled from topics with the prefix {prefix!r}, not {self._topic_prefix!r}",
                "Set TRUELIFT_TOPIC_PREFIX to it, or TRUELIFT_WAREHOUSE_DIR (or _CATALOGUE) to another warehouse",
            )


def second_writer(name: str, error: Exception) -> OperatorError:
    return OperatorError(
        f"another program wrote the table {name} meanwhile ({error}); nothing of this batch is in it",
        "Run one `truelift warehouse sync` at a time; start it again, it goes on from the table's own offsets",
    )


def arrow_of(table: Table, rows: Sequence[Values]) -> pa.Table:
    columns = {column.name: pa.array([row.get(column.name) for row in rows], ARROW[column.kind]) for column in table.columns}
    return pa.table(columns)


def local_path(location: str) -> Path:
    """Of a `file:` location."""
    return Path(unquote(urlsplit(location).path))


def summary_of(snapshot: Snapshot) -> dict[str, str]:
    """What a commit must carry on that only rewrites rows: offsets and how far they reach."""
    return {key: value for key, value in _properties(snapshot).items() if key in (OFFSETS, SYNCED)}


def _properties(snapshot: Snapshot) -> dict[str, str]:
    return {} if snapshot.summary is None else snapshot.summary.additional_properties


def _progress(properties: Mapping[str, str]) -> Progress:
    stored: dict[str, dict[str, int]] = orjson.loads(properties[OFFSETS])
    offsets = {topic: {int(p): offset for p, offset in at.items()} for topic, at in stored.items()}
    return Progress(offsets, int(properties[SYNCED]) if SYNCED in properties else None)


def _schema(table: Table) -> Schema:
    return Schema(*(_field(number, column) for number, column in enumerate(table.columns, start=1)))


def _field(number: int, column: Column) -> NestedField:
    return NestedField(number, column.name, ICEBERG[column.kind], required=False, doc=column.means or None)


def _evolved(found: IcebergTable, table: Table) -> IcebergTable:
    """Versions are explicit: a table says which one it has, and a column which one added it."""
    version = int(found.properties.get(VERSION, "1"))
    if version > table.version:
        raise OperatorError(
            f"the table {table.name} has version {version}, this Truelift knows {table.version}",
            "Upgrade Truelift here: a newer one has written to this warehouse",
        )
    if version < table.version:
        with found.transaction() as transaction:
            with transaction.update_schema() as schema:
                for column in table.columns:
                    if column.since > version:
                        schema.add_column(column.name, ICEBERG[column.kind], doc=column.means or None)
            transaction.set_properties({VERSION: str(table.version)})
    return found


def _catalog(settings: Settings) -> Catalog:
    given = settings.warehouse_catalogue
    properties: dict[str, Any] = given or _local(settings.warehouse() / "iceberg")
    try:
        return load_catalog("truelift", **properties)
    except (SQLAlchemyError, RESTError, OSError, ValueError) as error:
        raise OperatorError(
            f"the warehouse's catalogue cannot be opened ({type(error).__name__} {error})",
            "Check TRUELIFT_WAREHOUSE_CATALOGUE, a JSON object of pyiceberg's catalogue properties"
            if given
            else "Check TRUELIFT_WAREHOUSE_DIR: the folder must be writable",
        ) from error


def _local(folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    return {"type": "sql", "uri": f"sqlite:///{folder}/catalogue.db", "warehouse": folder.as_uri()}
