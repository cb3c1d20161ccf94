"""One question of a person in SQL: read-only, of the warehouse's views alone, with a bounded answer.

Owns what may be asked. DuckDB's own parser says what a statement touches: anything but one SELECT of the views, in whatever
disguise (a file, a table function, another schema), is refused before it runs. Behind that the connection is sealed.
"""

import threading
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import duckdb
import orjson

from app.errors import CallerError, OperatorError
from app.warehouse.lake import Lake

MOST_ROWS = 100_000
SECONDS = 300.0
FUNCTIONS = frozenset({"unnest", "range", "generate_series"})


class Answer(NamedTuple):
    """more: there would be further rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    more: bool


def ask(lake: Lake, sql: str, views: Collection[str], limit: int) -> Answer:
    """CallerError: what may not be asked, and what is wrong with it; OperatorError: no answer within `SECONDS`."""
    check(lake, sql, views)
    timer = threading.Timer(SECONDS, lake.connection.interrupt)
    timer.start()
    try:
        found = lake.connection.execute(sql)
        columns = [description[0] for description in found.description or ()]
        rows = found.fetchmany(limit + 1)
    except duckdb.InterruptException as error:
        raise OperatorError(f"no answer within {SECONDS:.0f} s", "Ask for less: a policy, a week, an aggregate") from error
    except duckdb.Error as error:
        raise CallerError(str(error).strip(), "Mend the query") from None
    finally:
        timer.cancel()
    return Answer(columns, rows[:limit], len(rows) > limit)


def check(lake: Lake, sql: str, views: Collection[str]) -> None:
    """Refuses by the parsed statement, not by its text."""
    (text,) = lake.one("SELECT json_serialize_sql($sql)", {"sql": sql})
    parsed = orjson.loads(text)
    if parsed["error"]:
        remedy = "Ask with one SELECT" if "SELECT" in parsed["error_message"] else "Mend the query"
        raise CallerError(f"{parsed['error_message']}", remedy)
    if len(parsed["statements"]) != 1:
        raise CallerError(f"there are {len(parsed['statements'])} statements", "Ask one question at a time")
    nodes = list(_nodes(parsed))
    known = set(views) | {entry["key"] for node in nodes for entry in node.get("cte_map", {}).get("map", ())}
    for node in nodes:
        if node.get("type") == "BASE_TABLE" and (node["schema_name"] not in ("", "main") or node["table_name"] not in known):
            name = ".".join(part for part in (node["schema_name"], node["table_name"]) if part)
            raise CallerError(f"there is no table {name!r} here", f"There are: {', '.join(sorted(views))}")
        if node.get("type") == "TABLE_FUNCTION" and node["function"]["function_name"] not in FUNCTIONS:
            name = node["function"]["function_name"]
            raise CallerError(f"{name}() reads what is not a table of the warehouse", f"Ask of {', '.join(sorted(views))}")
        if node.get("type") == "SHOW_REF":
            raise CallerError("this shows what the database is made of", "`truelift warehouse sql` prints the tables' columns")


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of the parsed statement, however deep."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield found
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)
