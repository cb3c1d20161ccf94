"""DuckDB over the current snapshots of the tables. Reads, never writes.

Owns the connection with its bounds, and one view a table in the schema `raw`. A view names the files of one snapshot and maps
columns by their Iceberg field ids, so that files from before a column was added read as null. Refuses tables with delete files:
nothing of ours deletes a row, so another program has.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow.dataset as arrow_dataset
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table as IcebergTable
from pyiceberg.types import IcebergType

from app.errors import InternalError, OperatorError
from app.warehouse.columns import TABLES
from app.warehouse.store import ICEBERG, Store, local_path

# Beyond it DuckDB spills to disk: a query's size is bounded by the disk, not by the memory.
MEMORY_MB = 1_000
RAW = "raw"
_DUCK_OF_KIND = {"text": "VARCHAR", "json": "VARCHAR", "whole": "BIGINT", "number": "DOUBLE", "yes_no": "BOOLEAN"}
DUCK: dict[IcebergType, str] = {ICEBERG[kind]: _DUCK_OF_KIND.get(kind, "TIMESTAMPTZ") for kind in ICEBERG}

_PARAMETER = re.compile(r"\$([a-z_]+)")
Parameters = Mapping[str, Any]
Record = tuple[Any, ...]


class Lake:
    """`with Lake(store, folder) as lake`. folder: for what does not fit into memory."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._paths: list[str] = []
        self.connection = duckdb.connect(
            config={
                "memory_limit": f"{MEMORY_MB}MB",
                "threads": os.cpu_count() or 1,
                "temp_directory": str(folder),
                "python_enable_replacements": False,
                "preserve_insertion_order": False,
            }
        )

    def __enter__(self) -> Self:
        self.connection.execute("SET TimeZone = 'UTC'")
        # The name that BigQuery has for it, so that the files of SQL are the same for both.
        self.connection.execute("CREATE MACRO unix_micros(moment) AS epoch_us(moment)")
        self.connection.execute(f"CREATE SCHEMA {RAW}")
        for table in TABLES:
            self._open(self._store.load(table.name), table.name)
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def use_raw(self) -> None:
        """Table names without a schema mean the tables as they are. For analysis, which decides itself what it shows."""
        self.connection.execute(f"SET search_path = 'main,{RAW}'")

    def seal(self) -> None:
        """From here on no file is read but the tables', and no setting changes."""
        self.connection.execute("SET allowed_paths = $paths", {"paths": self._paths})
        self.connection.execute("SET allowed_directories = $folders", {"folders": [str(self._folder)]})
        self.connection.execute("SET enable_external_access = false")
        self.connection.execute("SET lock_configuration = true")

    def run(self, name: str, parameters: Parameters) -> list[Record]:
        """The result of one file of the package's SQL, with those of the parameters that it names."""
        text = sql_text(name)
        named = set(_PARAMETER.findall(text))
        return self.connection.execute(text, {key: value for key, value in parameters.items() if key in named}).fetchall()

    def drift_file(self, policy: str) -> Path:
        """Where `truelift drift` leaves what it found of a policy's features."""
        return drift_file(self._folder.parent, policy)

    def synced_us(self) -> int | None:
        """Everything that was recorded before this moment is in all tables; None: a sync never came to the end."""
        reached = [self._store.progress(table.name).synced_us for table in TABLES]
        return None if None in reached else min(us for us in reached if us is not None)

    def rows(self, sql: str, parameters: Sequence[Any] | Parameters = ()) -> list[Record]:
        return self.connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] | Parameters = ()) -> Record:
        (found,) = self.rows(sql, parameters)
        return found

    def _open(self, table: IcebergTable, name: str) -> None:
        tasks = list(table.scan().plan_files())
        if any(task.delete_files for task in tasks):
            raise OperatorError(
                f"rows of the table {name} have been deleted by another program",
                "The warehouse only ever grows: roll the table back to the snapshot before, or sync anew",
            )
        view = f'CREATE VIEW {RAW}."{name}" AS SELECT * FROM '
        locations = [task.file.file_path for task in tasks]
        if not locations:
            columns = ", ".join(f'NULL::{_duck_type(f.field_type)} AS "{f.name}"' for f in table.schema().fields)
            self.connection.execute(f'CREATE VIEW {RAW}."{name}" AS SELECT {columns} WHERE false')
        elif all(location.startswith("file:") for location in locations):
            paths = [str(local_path(location)) for location in locations]
            self._paths += paths
            listed = ", ".join(quoted(path) for path in paths)
            self.connection.execute(f"{view} read_parquet([{listed}], schema = {_field_map(table)})")
        else:
            self._register_remote(table, name, locations)

    def _register_remote(self, table: IcebergTable, name: str, locations: list[str]) -> None:
        """Files of an object store are read through the file system that the catalogue gave pyiceberg the credentials for."""
        if not isinstance(table.io, PyArrowFileIO):
            raise OperatorError(
                f"the table {name} is read through {type(table.io).__name__}, which DuckDB cannot use",
                "Set py-io-impl to pyiceberg.io.pyarrow.PyArrowFileIO in TRUELIFT_WAREHOUSE_CATALOGUE",
            )
        scheme, netloc, _ = PyArrowFileIO.parse_location(locations[0], table.io.properties)
        system = table.io.fs_by_scheme(scheme, netloc)
        paths = [PyArrowFileIO.parse_location(location, table.io.properties)[2] for location in locations]
        dataset = arrow_dataset.dataset(paths, schema=table.schema().as_arrow(), filesystem=system, format="parquet")
        self.connection.register(f"{name}_files", dataset)
        self.connection.execute(f'CREATE VIEW {RAW}."{name}" AS SELECT * FROM "{name}_files"')


def drift_file(warehouse: Path, policy: str) -> Path:
    return warehouse / "drift" / f"{policy}.json"


@contextmanager
def opened(store: Store, folder: Path) -> Iterator[Lake]:
    folder.mkdir(parents=True, exist_ok=True)
    with Lake(store, folder) as lake:
        yield lake


def sql_text(name: str) -> str:
    """One of the package's SQL files."""
    return (files("app.warehouse") / "sql" / f"{name}.sql").read_text()


def _field_map(table: IcebergTable) -> str:
    entries = ", ".join(
        f"{field.field_id}: {{name: {quoted(field.name)}, type: {quoted(_duck_type(field.field_type))}, default_value: NULL}}"
        for field in table.schema().fields
    )
    return f"MAP {{{entries}}}"


def _duck_type(kind: IcebergType) -> str:
    if kind not in DUCK:
        raise InternalError(f"no column of ours has the type {kind}", "Another program changed the table: roll it back")
    return DUCK[kind]


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
