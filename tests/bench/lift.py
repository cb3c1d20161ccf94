"""`truelift lift` over a warehouse of some size: how long it takes, and how much memory, as a process of its own.

The arms are alike: what is measured is the way to the verdict. One in eleven is held out.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import orjson
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from app.settings import Settings
from app.warehouse.columns import BY_NAME
from app.warehouse.store import ARROW, Progress, Store
from tests.warehouse.world import DAY_US, KEY, START_US, World, policy

PEOPLE = 1_000_000
OUTCOMES = 1_000_000
# One commit of a table: as a sync in full flow makes them.
COMMIT_ROWS = 100_000
DAYS = 28
RESULTS = Path(__file__).parent / "results"
TRUELIFT = Path(sys.executable).with_name("truelift")
_STOP_RULES = {"min_days": 7, "horizon_days": DAYS, "min_exposed_per_arm": 1000, "looks_utc": "daily 06:00",
               "boundary": "obrien_fleming", "alpha": 0.05}  # fmt: skip
_ID = "CAST(CAST(md5(concat(n, '{salt}')) AS UUID) AS VARCHAR)"
# Who is n, when, and in which arm: a row for each person.
_PERSON = f"""
  concat('user-', n) AS unit,
  {_ID.format(salt="assignment")} AS assignment_id,
  CASE WHEN n % 11 = 0 THEN NULL WHEN hash(n) % 2 = 0 THEN 'A' ELSE 'B' END AS variant,
  n % 11 = 0 AS held_out,
  make_timestamptz($start + CAST(n * $span / $people AS BIGINT)) AS moment
"""
_DECISIONS = f"""
SELECT *, moment AS appended_ts, moment AS signal_ts, moment AS decided_ts, moment AS recorded_ts FROM (
  SELECT n AS kafka_offset, 0 AS kafka_partition, 0 AS row_index, 'decided' AS status, $key AS policy, 'experiment' AS kind,
    'live' AS mode, 1 AS rule_version, 3 AS phase, true AS eligible, {_ID.format(salt="decision")} AS decision_id,
    n % 11 = 0 AS holdout, {_PERSON}
  FROM range($begin, $end) AS t(n))
"""
_EXPOSURES = f"""
SELECT *, moment AS ts, moment AS decided_ts, moment AS recorded_ts FROM (
  SELECT n AS kafka_offset, 0 AS kafka_partition, 0 AS row_index, $key AS policy, 1 AS rule_version, 3 AS phase,
    'render' AS exposed_by, {_ID.format(salt="exposure")} AS exposure_id, concat('user-', n) AS user_id,
    CASE n % 3 WHEN 0 THEN 'web' WHEN 1 THEN 'ios' ELSE 'android' END AS device, {_PERSON}
  FROM range($begin, $end) AS t(n)) WHERE NOT held_out
"""
# Two in three people have one or more.
_OUTCOMES = f"""
SELECT *, moment + INTERVAL 1 HOUR AS ts, moment + INTERVAL 1 HOUR AS recorded_ts FROM (
  SELECT m AS kafka_offset, 0 AS kafka_partition, 0 AS row_index, $key AS policy, 1 AS rule_version, 3 AS phase,
    'signup' AS event_name, 'primary' AS outcome, CAST(CAST(md5(concat(m, 'event')) AS UUID) AS VARCHAR) AS event_id,
    CAST(CAST(md5(concat(m, 'outcome')) AS UUID) AS VARCHAR) AS outcome_id,
    concat('{{"amount":', 10 + m % 90, '}}') AS properties, n % 11 = 0 AS holdout, {_PERSON}
  FROM (SELECT m, hash(m) % CAST($people * 0.66 AS BIGINT) + m % 2 AS n FROM range($begin, $end) AS t(m)))
"""


class Result(NamedTuple):
    """seconds: from the start of the command to its end. cpu_seconds: of all its threads, imports included."""

    people: int
    outcomes: int
    seconds: float
    cpu_seconds: float
    rss_mb: float
    verdict: str


def fill(folder: Path, people: int = PEOPLE, outcomes: int = OUTCOMES) -> Settings:
    """A warehouse with one experiment, as a sync would leave it."""
    world = World(folder).begin(policy(stop_rules=_STOP_RULES, ramp=[1000])).write()
    people_asked = people * 11 // 10  # so many that `people` of them are not held out
    with Store.open(world.settings) as store, duckdb.connect() as source:
        source.execute("SET TimeZone = 'UTC'")
        store.prepare()
        progress = Progress({"written": {0: 1}}, time.time_ns() // 1000)
        for name, sql, count in (
            ("decisions", _DECISIONS, people_asked), ("exposures", _EXPOSURES, people_asked), ("outcomes", _OUTCOMES, outcomes),
        ):  # fmt: skip
            for begin in range(0, count, COMMIT_ROWS):
                values = {"begin": begin, "end": min(count, begin + COMMIT_ROWS), "people": people_asked, "key": KEY}
                values |= {"start": START_US, "span": (DAYS - 1) * DAY_US}
                found = source.execute(sql, {k: v for k, v in values.items() if f"${k}" in sql}).to_arrow_table()
                store.append(name, _complete(name, found), progress)
    return world.settings


def measure(people: int = PEOPLE, outcomes: int = OUTCOMES) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        settings = fill(Path(folder), people, outcomes)
        out = Path(folder) / "lift.json"
        started = time.monotonic()
        child = os.posix_spawn(
            TRUELIFT,
            [TRUELIFT, "lift", KEY, "--json"],
            os.environ | {"TRUELIFT_DATA_DIR": str(settings.data_dir)},
            file_actions=[(os.POSIX_SPAWN_OPEN, 1, str(out), os.O_WRONLY | os.O_CREAT, 0o600)],
        )
        _, status, usage = os.wait4(child, 0)
        seconds = time.monotonic() - started
        assert status == 0, f"truelift lift ended with {status}"
        report: dict[str, Any] = orjson.loads(out.read_bytes())
        assert sum(arm["exposed"] for arm in report["arms"]) == people, "not everybody is in the lift"
        return Result(people, outcomes, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, report["verdict"])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench lift", description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE, help="exposures; one in eleven more is held out")
    parser.add_argument("--outcomes", type=int, default=OUTCOMES)
    chosen = parser.parse_args(arguments)
    result = measure(chosen.people, chosen.outcomes)
    table = Table("exposures", "outcomes", "seconds", "CPU seconds", "RSS MB", "verdict", title="truelift lift")
    table.add_row(
        f"{result.people:,}", f"{result.outcomes:,}", f"{result.seconds:.1f}", f"{result.cpu_seconds:.1f}",
        f"{result.rss_mb:,.0f}", result.verdict,
    )  # fmt: skip
    Console().print(table)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "lift.json").write_bytes(orjson.dumps(result._asdict(), option=orjson.OPT_INDENT_2))


def _complete(name: str, found: pa.Table) -> pa.Table:
    """With every column of the table, in its type; what was not made is null."""
    columns = {}
    for column in BY_NAME[name].columns:
        kind = ARROW[column.kind]
        made = found.column(column.name).cast(kind) if column.name in found.column_names else pa.nulls(len(found), kind)
        columns[column.name] = made
    return pa.table(columns)
