"""`truelift sql`: one SELECT of the warehouse's views, and nothing else, in whatever disguise."""

from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from app import cli
from app.errors import CallerError
from app.warehouse.lake import Lake, opened
from app.warehouse.masks import open_views
from app.warehouse.query import ask, check
from app.warehouse.store import Store
from tests.warehouse.world import World

Run = Callable[..., str]

ALLOWED = [
    "SELECT count(*) FROM exposures",
    "FROM exposures SELECT policy, count(*) GROUP BY ALL",
    "WITH mine AS (SELECT * FROM main.outcomes) SELECT * FROM mine JOIN decisions USING (unit)",
    "SELECT * FROM assignments WHERE unit IN (SELECT unit FROM journal)",
    "SELECT d, count(*) FROM range(3) AS r(d) LEFT JOIN exposures ON true GROUP BY ALL",
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n",
    "VALUES (1)",
]
# A query, and what its refusal names.
REFUSED = {
    "SELECT * FROM raw.exposures": "raw.exposures",
    "SELECT * FROM (SELECT 1) WHERE EXISTS (SELECT 1 FROM raw.outcomes)": "raw.outcomes",
    "SELECT * FROM read_parquet('x.parquet')": "read_parquet()",
    "SELECT (SELECT count(*) FROM read_csv('/etc/passwd'))": "read_csv()",
    "SELECT * FROM 'x.parquet'": "x.parquet",
    "SELECT * FROM query('SELECT * FROM raw.exposures')": "query()",
    "SELECT * FROM query_table('exposures')": "query_table()",
    "SELECT * FROM duckdb_views()": "duckdb_views()",
    "SELECT * FROM information_schema.tables": "information_schema.tables",
    "SELECT * FROM pg_catalog.pg_views": "pg_catalog.pg_views",
    "SELECT * FROM sqlite_master": "sqlite_master",
    "DESCRIBE exposures": "made of",
    "SELECT 1; SELECT 2": "2 statements",
    "": "0 statements",
    "DROP VIEW exposures": "Only SELECT",
    "COPY (SELECT 1) TO 'x.csv'": "Only SELECT",
    "ATTACH 'x.db'": "Only SELECT",
    "SET memory_limit = '100GB'": "Only SELECT",
    "EXPLAIN SELECT 1": "Only SELECT",
    "INSTALL httpfs": "Only SELECT",
    "SELEC 1": "syntax error",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("small")).begin().end().person("u", "A", converts=True).signal("u", 1)
    return world.write()


@pytest.fixture
def lake(small: World) -> Iterator[Lake]:
    with Store.open(small.settings) as store, opened(store, small.settings.warehouse() / "spill") as lake:
        yield lake


@pytest.fixture
def run(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on the tests' warehouse: what it prints."""
    monkeypatch.setenv("TRUELIFT_DATA_DIR", str(warehouse))

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(cli.app, list(arguments))
        assert result.exit_code == 0, result.output + repr(result.exception)
        return result.stdout

    return call


def test_a_select_of_the_views_is_answered(lake: Lake) -> None:
    views = open_views(lake, ())
    lake.seal()

    assert [query for query in ALLOWED if not ask(lake, query, views, 10).rows] == []


def test_anything_else_is_refused_before_it_runs(lake: Lake) -> None:
    views = open_views(lake, ())

    for query, named in REFUSED.items():
        with pytest.raises(CallerError) as refused:
            check(lake, query, views)
        assert named in str(refused.value), query


def test_a_sealed_connection_reads_the_tables_files_alone(lake: Lake, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    assert lake.rows(f"SELECT * FROM '{other}'") == [(1,)]
    lake.seal()

    for statement in (f"SELECT * FROM '{other}'", f"COPY (SELECT 1) TO '{other}'", "SET enable_external_access = true"):
        with pytest.raises(Exception, match=r"(?i)permission|configuration"):
            lake.rows(statement)


def test_an_answer_is_bounded_and_says_that_there_is_more(lake: Lake) -> None:
    views = open_views(lake, ())

    answer = ask(lake, "SELECT * FROM range(11)", views, 10)
    assert (len(answer.rows), answer.more) == (10, True)
    assert not ask(lake, "SELECT * FROM range(10)", views, 10).more


def test_a_mistake_in_the_query_is_one_line(lake: Lake) -> None:
    with pytest.raises(CallerError, match="nothing_like_it"):
        ask(lake, "SELECT nothing_like_it FROM exposures", open_views(lake, ()), 10)


def test_the_command_prints_json_csv_or_a_table(world: World, run: Run) -> None:
    world.begin().end().person("u", "A", 1).write()
    query = f"SELECT variant, ts, 0.5 AS half, NULL AS nothing FROM exposures WHERE policy = '{world.key}'"

    found = orjson.loads(run("sql", query, "--json"))
    assert (found["columns"], found["more"]) == (["variant", "ts", "half", "nothing"], False)
    assert found["rows"] == [["A", "2026-01-06T00:01:26.400000Z", "0.5", None]]
    assert run("sql", query, "--csv") == "variant,ts,half,nothing\nA,2026-01-06T00:01:26.400000Z,0.5,\n"
    assert "2026-01-06T00:01:26" in run("sql", query).replace("\n", "")
