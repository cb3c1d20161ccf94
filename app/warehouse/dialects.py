"""The warehouse's SQL in words of other engines: the load schema and the join, from the very files that DuckDB runs here.

Owns the order in which they are printed. Refuses a construct that the other engine has no word for: the printing fails.
"""

from itertools import takewhile
from typing import Literal

import sqlglot
from sqlglot import exp

from app.warehouse.columns import TABLES, Column, Kind, Table
from app.warehouse.lake import sql_text

Dialect = Literal["duckdb", "bigquery"]
TYPES: dict[Kind, str] = {
    "text": "VARCHAR",
    "json": "VARCHAR",
    "whole": "BIGINT",
    "number": "DOUBLE",
    "yes_no": "BOOLEAN",
    "moment": "TIMESTAMPTZ",
}
# The join makes a table at each step; the metric's steps are repeated for every metric.
JOIN = ("drills", "people", "asked", "triggers", "bound", "shown", "population", "counts")
METRIC = ("covariate", "outcome", "reacted", "metric", "over_time", "signals")
# What validity alarms are read from; the last needs the outcomes of a metric.
ALARMS = (
    "alarm_totals", "alarm_decided", "alarm_shown", "alarm_rerolled", "alarm_holdout", "alarm_days", "alarm_unshown",
)  # fmt: skip
# And those of a policy with a model: the first makes a table, after the drills and before the people.
MODEL = ("scored", "score_edges", "score_days", "calibration")
_PARAMETERS = """\
-- Parameters, of every statement that names them:
--   policy, first_version, last_version   the experiment: its key, and the rule versions that treat alike
--   until_us                              the moment of the look, in microseconds since 1970 (UTC): later records are left out
--   by                                    '' or device, locale, route: the segments of the exposed
--   role, event, kind, value_path         the metric: primary, secondary[0], ..; its event; binary, count, continuous or ratio;
--                                         the JSONPath of its number in the properties
--   after_us, window_us, matured_us       events count after_us (0) to window_us behind the exposure; people count whose
--                                         exposure is matured_us (0) old
--   topic, before_us                      the covariate: signals of events.<event> in before_us (0: none) before the trigger
--   started_us, cycle_us, most            alarms: the start of the experiment, a cycle of its traffic, the most segments
--   score_path, variant                   a model: the JSONPath of a score, and the variant that it is about
--   from_day, to_day, edge_a .. edge_i    its days of reference, since 1970, and the bins that score_edges found there"""


def script(dialect: Dialect) -> str:
    """Load schema, views, join and metrics, each with what it is for."""
    parts = ["-- The tables, as they are loaded.", *(_create(table, dialect) for table in TABLES), _PARAMETERS]
    parts.append(
        f"{_said_of('assignments', dialect)}\nCREATE OR REPLACE VIEW assignments AS\n{translated('assignments', dialect)}"
    )
    parts += [f"{_said_of(name, dialect)}\n{translated(name, dialect)}" for name in (*JOIN, *METRIC, *ALARMS, *MODEL)]
    return "\n\n".join(parts)


def translated(name: str, dialect: Dialect) -> str:
    """One file of the package, without its comments."""
    (text,) = sqlglot.transpile(
        sql_text(name), read="duckdb", write=dialect, pretty=True, comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE
    )
    return f"{text};"


def _said_of(name: str, dialect: Dialect) -> str:
    """What the file says of itself before it begins."""
    head = "\n".join(takewhile(lambda line: line.startswith("--"), sql_text(name).splitlines()))
    return head.replace("$", "@") if dialect == "bigquery" else head


def _create(table: Table, dialect: Dialect) -> str:
    columns = ",\n".join(f"  {_column(column, dialect)}" for column in table.columns)
    options = f"\nOPTIONS (description = {_literal(table.means, dialect)})" if dialect == "bigquery" else ""
    return f"CREATE TABLE IF NOT EXISTS {table.name} (\n{columns}\n){options};"


def _column(column: Column, dialect: Dialect) -> str:
    kind = exp.DataType.build(TYPES[column.kind], dialect="duckdb").sql(dialect)
    if dialect == "bigquery" and column.means:
        return f"{column.name} {kind} OPTIONS (description = {_literal(column.means, dialect)})"
    return f"{column.name} {kind}"


def _literal(text: str, dialect: Dialect) -> str:
    return exp.Literal.string(text).sql(dialect)
