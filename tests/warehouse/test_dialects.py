"""The SQL for BigQuery: printed from the files that DuckDB runs, and meaning the same when it is read back."""

import re
from typing import Any

import pytest
import sqlglot
from sqlglot import exp
from typer.testing import CliRunner

from app import cli
from app.warehouse import lake
from app.warehouse.columns import TABLES
from app.warehouse.dialects import JOIN, METRIC, MODEL, script, translated
from tests.warehouse.world import World, policy


def test_the_script_has_every_table_with_its_columns_and_every_step() -> None:
    printed = script("bigquery")
    statements = [found for found in sqlglot.parse(printed, read="bigquery") if found is not None]
    created = {found.find(exp.Table).name: found for found in statements if isinstance(found, exp.Create)}  # type: ignore[union-attr]

    for table in TABLES:
        named = [column.name for column in created[table.name].find_all(exp.ColumnDef)]
        assert named == [column.name for column in table.columns]
    assert set(created) == {table.name for table in TABLES} | {"assignments", *JOIN, *METRIC, *MODEL} - {
        "counts", "metric", "over_time", "signals", "score_edges", "score_days", "calibration",
    }  # fmt: skip
    assert not re.search(r"\$[a-z]", re.sub(r"'[^']*'", "", printed)), "a parameter in DuckDB's spelling"


def test_the_command_prints_it(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(cli.app, ["warehouse", "sql", "--dialect", "bigquery"])

    assert result.exit_code == 0
    assert result.stdout.strip() == script("bigquery").strip()


def test_read_back_from_bigquery_the_join_says_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not BigQuery itself: what is lost or turned round on the way there would be so on the way back, too."""
    body = policy(outcomes={"primary": {"event": "signup", "within_hours": 168, "kind": "ratio", "value": "properties.amount"}})
    world.begin(body).end().arm("A", 5, 0).arm("B", 5, 0).arm("held out", 3, 0)
    world.person("anon:d", "B", 1).person("x", "A", 2).identify("d", "x", 2)
    world.expose("u-B-1-1", "B", 3).expose("nobody", "B", 3)
    for number in range(4):
        world.outcome(f"u-A-1-{number}", 2, '{"amount":3}').outcome(f"u-B-1-{number}", 2 + number * 3, f'{{"amount":{number}}}')
    world.outcome("u-held out-1-0", 2, '{"amount":"none"}').govern("drill", 8, body='{"state":"begin"}').write()
    request = {"by": "device", "horizons": (7,), "cuped_days": 7}
    here = world.lift(**request)

    def there(name: str) -> str:
        (text,) = sqlglot.transpile(translated(name, "bigquery"), read="bigquery", write="duckdb")
        return text

    monkeypatch.setattr(lake, "sql_text", there)
    assert _rounded(world.lift(**request).as_json()) == _rounded(here.as_json())
    assert here.is_open


def _rounded(value: Any) -> Any:
    """DuckDB's threads add in no fixed order: the last digits of a sum are chance."""
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value
