"""The tables without a broker: offsets in the commit, one writer, columns that come with a version, files that stay few."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.errors import OperatorError
from app.settings import Settings
from app.warehouse import columns, lake, store
from app.warehouse.columns import Column, Table
from app.warehouse.housekeeping import merge, tidy
from app.warehouse.lake import opened
from app.warehouse.rows import Values
from app.warehouse.store import Progress, Store, local_path

TABLE = "identities"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def _row(offset: int) -> Values:
    place = {"kafka_partition": 0, "kafka_offset": offset, "row_index": 0, "recorded_ts": 1_000_000}
    return place | {"user_id": f"u-{offset}"}


def _until(offset: int) -> Progress:
    return Progress({"events.identify": {0: offset, 3: 7}}, offset * 10)


def _offsets(settings: Settings) -> list[int]:
    with Store.open(settings) as tables, opened(tables, settings.warehouse() / "spill") as found:
        return [offset for (offset,) in found.rows(f"SELECT kafka_offset FROM raw.{TABLE} ORDER BY ALL")]


def test_offsets_are_in_the_summary_of_the_very_commit_that_holds_the_rows(settings: Settings) -> None:
    with Store.open(settings) as tables:
        tables.prepare()
        assert tables.progress(TABLE) == Progress({}, None)
        for offset in range(3):
            tables.append(TABLE, [_row(offset)], _until(offset + 1))
            snapshot = tables.load(TABLE).current_snapshot()
            assert snapshot is not None
            assert snapshot.summary is not None
            assert snapshot.summary["added-records"] == "1"
            assert snapshot.summary["truelift.offsets"] == f'{{"events.identify":{{"0":{offset + 1},"3":7}}}}'
        assert tables.progress(TABLE) == _until(3)
    with Store.open(settings) as tables:
        assert tables.progress(TABLE) == _until(3)
    assert _offsets(settings) == [0, 1, 2]


def test_to_roll_a_table_back_rolls_its_offsets_back(settings: Settings) -> None:
    with Store.open(settings) as tables:
        tables.prepare()
        tables.append(TABLE, [_row(0)], _until(1))
        first = tables.load(TABLE).current_snapshot()
        assert first is not None
        tables.append(TABLE, [_row(1)], _until(2))
        tables.load(TABLE).manage_snapshots().rollback_to_snapshot(first.snapshot_id).commit()
        tables.load(TABLE)
        assert tables.progress(TABLE) == _until(1)
    assert _offsets(settings) == [0]


@pytest.mark.parametrize("guarded", [True, False], ids=["as it is", "with the library's own retries"])
def test_a_second_writer_of_the_same_records_adds_none(guarded: bool, settings: Settings) -> None:
    with Store.open(settings) as ours, Store.open(settings) as theirs:
        ours.prepare()
        if not guarded:
            with ours.load(TABLE).transaction() as transaction:
                transaction.set_properties({"commit.retry.num-retries": "4", "commit.retry.min-wait-ms": "1"})
        for tables in (ours, theirs):
            tables.load(TABLE)
        ours.append(TABLE, [_row(0)], _until(1))
        if guarded:
            with pytest.raises(OperatorError, match="another program wrote the table"):
                theirs.append(TABLE, [_row(0)], _until(1))
        else:
            theirs.append(TABLE, [_row(0)], _until(1))
    assert _offsets(settings) == ([0] if guarded else [0, 0])


def test_another_programs_snapshot_without_offsets_is_passed_over(settings: Settings) -> None:
    with Store.open(settings) as tables:
        tables.prepare()
        tables.append(TABLE, [_row(0)], _until(1))
        with tables.load(TABLE).transaction() as transaction:
            transaction.update_snapshot().fast_append().commit()
        tables.load(TABLE)
        assert tables.progress(TABLE) == _until(1)


def test_rows_without_any_offsets_are_refused(settings: Settings) -> None:
    with Store.open(settings) as tables:
        tables.prepare()
        table = tables.load(TABLE)
        table.append(store.arrow_of(columns.IDENTITIES_TABLE, [_row(0)]))
        with pytest.raises(OperatorError, match="no snapshot of it says"):
            tables.progress(TABLE)


def _with_columns(table: Table, *added: Column) -> Table:
    return table._replace(columns=(*table.columns, *added))


def _use(monkeypatch: pytest.MonkeyPatch, *added: Column) -> None:
    """This code, with further columns in one table."""
    changed = _with_columns(columns.IDENTITIES_TABLE, *added)
    tables = tuple(changed if table.name == TABLE else table for table in columns.TABLES)
    for module in (columns, store, lake):
        monkeypatch.setattr(module, "TABLES", tables)
    monkeypatch.setitem(columns.BY_NAME, TABLE, changed)


def test_a_column_comes_with_a_version_and_reads_as_null_in_older_rows(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(settings) as tables:
        tables.prepare()
        tables.append(TABLE, [_row(0)], _until(1))
    with monkeypatch.context() as newer:
        _use(newer, Column("source", "text", "where it came from", since=2), Column("score", "number", "", since=3))
        with Store.open(settings) as tables:
            tables.prepare()
            assert tables.load(TABLE).properties["truelift.version"] == "3"
            # Before any row has them, the columns are there.
            with opened(tables, settings.warehouse() / "spill") as found:
                assert found.rows(f"SELECT source, score FROM raw.{TABLE}") == [(None, None)]
            tables.append(TABLE, [_row(1) | {"source": "edge", "score": 0.5}], _until(2))
            merge(tables, TABLE, least_files=2)
            with opened(tables, settings.warehouse() / "spill") as found:
                rows = found.rows(f"SELECT kafka_offset, source, score FROM raw.{TABLE} ORDER BY ALL")
        assert rows == [(0, None, None), (1, "edge", 0.5)]
    with Store.open(settings) as tables, pytest.raises(OperatorError, match="has version 3, this Truelift knows 1"):
        tables.prepare()


def test_small_files_become_one_with_the_same_rows_and_offsets(settings: Settings) -> None:
    with Store.open(settings) as tables:
        tables.prepare()
        for offset in range(5):
            tables.append(TABLE, [_row(offset)], _until(offset + 1))
        assert merge(tables, TABLE, least_files=6) == 0
        assert merge(tables, TABLE, least_files=5) == 5
        assert len(list(tables.load(TABLE).scan().plan_files())) == 1
        assert tables.progress(TABLE) == _until(5)
        tables.append(TABLE, [_row(5)], _until(6))
    assert _offsets(settings) == [0, 1, 2, 3, 4, 5]


def test_a_merge_that_lost_a_race_changes_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(settings) as tables, Store.open(settings) as others:
        tables.prepare()
        for offset in range(2):
            tables.append(TABLE, [_row(offset)], _until(offset + 1))
        real = store.summary_of
        others.load(TABLE)

        def meanwhile(snapshot: object) -> dict[str, str]:
            others.append(TABLE, [_row(2)], _until(3))
            return real(snapshot)  # type: ignore[arg-type]

        monkeypatch.setattr("app.warehouse.housekeeping.summary_of", meanwhile)
        with pytest.raises(OperatorError, match="another program wrote the table"):
            merge(tables, TABLE, least_files=2)
        tables.load(TABLE)
        assert tables.progress(TABLE) == _until(3)
    assert _offsets(settings) == [0, 1, 2]


def test_what_no_snapshot_names_is_removed_after_its_time_and_nothing_else(settings: Settings) -> None:
    with Store.open(settings) as tables:
        tables.prepare()
        for offset in range(4):
            tables.append(TABLE, [_row(offset)], _until(offset + 1))
        merge(tables, TABLE, least_files=4)
        table = tables.load(TABLE)
        data = local_path(table.location()) / "data"
        orphan = data / "left-by-a-killed-commit.parquet"
        orphan.touch()
        young = data / "being-written.parquet"
        old = time.time() - 7_200
        for file in [*data.iterdir(), *(local_path(table.location()) / "metadata").iterdir()]:
            os.utime(file, (old, old))
        young.touch()
        later = time.time() + 3_600
        os.utime(young, (later, later))

        assert tidy(tables, TABLE, datetime.now(UTC) - timedelta(hours=3)) == 0
        assert tidy(tables, TABLE, datetime.now(UTC)) > 4
        assert (young.exists(), orphan.exists()) == (True, False)
        assert len(tables.load(TABLE).metadata.snapshots) == 1
        assert tables.progress(TABLE) == _until(4)
        tables.append(TABLE, [_row(4)], _until(5))
    assert _offsets(settings) == [0, 1, 2, 3, 4]


def test_a_warehouse_that_was_never_filled_says_how_to(settings: Settings) -> None:
    with Store.open(settings) as tables, pytest.raises(OperatorError, match="truelift warehouse sync"), \
         opened(tables, settings.warehouse() / "spill"):  # fmt: skip
        pass


def test_a_catalogue_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="TRUELIFT_WAREHOUSE_CATALOGUE"):
        Store.open(Settings(data_dir=tmp_path, warehouse_catalogue={"type": "no such catalogue"}))


def test_any_catalogue_of_the_library_holds_the_tables(tmp_path: Path) -> None:
    """Another place and another name, as a setting says; object stores and REST catalogues go the same way."""
    properties = {"type": "sql", "uri": f"sqlite:///{tmp_path}/elsewhere.db", "warehouse": (tmp_path / "lake").as_uri()}
    settings = Settings(data_dir=tmp_path / "data", warehouse_catalogue=properties)
    with Store.open(settings) as tables:
        tables.prepare()
        tables.append(TABLE, [_row(0)], _until(1))

    assert _offsets(settings) == [0]
    assert list((tmp_path / "lake").rglob("*.parquet"))
