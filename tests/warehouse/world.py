"""A small world, written straight into the warehouse: who was decided for, shown what, and did what, to the minute.

Times are days since START (floats). Nothing is inferred: each row is what a test says.
"""

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import orjson

from app.analysis.lift import Request, lift
from app.analysis.lift_report import Comparison, LiftReport
from app.contract.ids import assignment_id, outcome_id, uuid_of
from app.contract.times import micros
from app.settings import Settings
from app.warehouse.columns import TABLES
from app.warehouse.lake import opened
from app.warehouse.rows import Values
from app.warehouse.store import Progress, Store

START_US = micros(datetime(2026, 1, 5, tzinfo=UTC))  # a Monday
DAY_US = 86_400_000_000
KEY = "nudge"
ACTION = {"kind": "render", "slot": "s", "component": "none"}
LIVE_PHASE = 3
LATER = 1_000  # days: everything is over, and the warehouse is complete until then
_serial = itertools.count()  # offsets: of one source, whatever policy a row is about


def policy(**changes: Any) -> dict[str, Any]:
    """A binary primary over seven days; no stop rules, so that a test may look as soon as it has ended."""
    body: dict[str, Any] = {
        "key": KEY, "kind": "experiment", "mode": "live", "owner": "growth", "class": "low", "rollback_flag": "ff",
        "trigger": {"event": "page_view", "decision_point": "p"}, "coverage_permille": 1000,
        "variants": [{"key": "A", "weight": 0.5, "action": ACTION}, {"key": "B", "weight": 0.5, "action": ACTION}],
        "fallback_action": ACTION, "exposure": "on_render",
        "outcomes": {"primary": {"event": "signup", "within_hours": 168, "kind": "binary"}},
    }  # fmt: skip
    return body | changes


def measured(kind: str, value: str | None = None) -> dict[str, Any]:
    """The outcomes of a policy whose primary is of this kind."""
    primary = {"event": "signup", "within_hours": 168, "kind": kind}
    return {"primary": primary if value is None else primary | {"value": value}}


def day(days: float) -> int:
    return START_US + round(days * DAY_US)


class World:
    """One policy and its people in the warehouse of a folder. `write` stores what has been said so far. People's names are made
    the policy's own, so that worlds can share a warehouse."""

    def __init__(self, folder: Path, key: str = KEY) -> None:
        self.settings = Settings(data_dir=folder)
        self.key = key
        self.rows: dict[str, list[Values]] = {table.name: [] for table in TABLES}

    # -- what happened

    def govern(self, record_type: str, at: float, version: int = 1, **fields: Any) -> Self:
        values: Values = {"type": record_type, "policy": self.key, "rule_version": version, "body": "{}", "actor": "ann"}
        return self._row("governance", at, values | {"role": "operator", "reason": "test", "seq": 1} | fields)

    def begin(self, body: dict[str, Any] | None = None, at: float = 0, version: int = 1) -> Self:
        """In force from then on."""
        found = (body or policy()) | {"key": self.key}
        self.govern("proposed", at, version, body=orjson.dumps(found).decode())
        return self.govern("activated", at, version)

    def end(self, at: float = 100, version: int = 1) -> Self:
        return self.govern("retired", at, version)

    def decide(self, unit: str, arm: str | None, at: float, /, **fields: Any) -> Self:
        """arm None: asked, and neither assigned nor held out (not covered); "held out": held out."""
        unit, version = self.unit(unit), fields.get("rule_version", 1)
        held_out = arm == "held out"
        given = None if arm is None else assignment_id(unit, self.key, version)
        values: Values = {
            "unit": unit, "status": "decided", "input_topic": "events.page_view", "policy": self.key, "kind": "experiment",
            "mode": "live", "rule_version": version, "active_rule_version": version, "phase": LIVE_PHASE, "eligible": True,
            "holdout": held_out, "assigned": arm is not None and not held_out, "variant": None if held_out else arm,
            "assignment_id": given, "sticky": False, "late": False, "appended_ts": day(at), "signal_ts": day(at),
            "decided_ts": day(at), "reason": "holdout" if held_out else "not_covered" if arm is None else "assigned",
        }  # fmt: skip
        return self._row("decisions", at, values | fields)

    def expose(self, unit: str, arm: str, at: float, /, **fields: Any) -> Self:
        unit, version = self.unit(unit), fields.get("rule_version", 1)
        values: Values = {
            "unit": unit, "user_id": None if unit.startswith("anon:") else unit, "policy": self.key, "variant": arm,
            "assignment_id": assignment_id(unit, self.key, version), "rule_version": version, "phase": LIVE_PHASE,
            "exposed_by": "render", "ts": day(at), "decided_ts": day(at), "device": "web", "event_id": self._id(),
            "exposure_id": uuid_of(f"{unit}{self.key}{version}"),
        }  # fmt: skip
        return self._row("exposures", at, values | fields)

    def outcome(self, unit: str, at: float, properties: str = "{}", /, **fields: Any) -> Self:
        unit, version = self.unit(unit), fields.get("rule_version", 1)
        event = fields.pop("event_id", None) or self._id()
        values: Values = {
            "unit": unit, "outcome_id": outcome_id(event, unit), "event_id": event, "event_name": "signup", "ts": day(at),
            "properties": properties, "policy": self.key, "outcome": "primary",
            "assignment_id": assignment_id(unit, self.key, version),
            "rule_version": version, "phase": LIVE_PHASE, "holdout": False, "exposed": True, "within_window": True,
        }  # fmt: skip
        return self._row("outcomes", at, values | fields)

    def identify(self, anonymous: str, user: str, at: float) -> Self:
        return self._row(
            "identities",
            at,
            {"anonymous_id": f"{self.key}-{anonymous}", "user_id": self.unit(user), "event_id": self._id(), "ts": day(at)},
        )

    def signal(self, unit: str, at: float, topic: str = "events.signup") -> Self:
        values: Values = {"unit": self.unit(unit), "status": "no_match", "input_topic": topic, "event_id": self._id()}
        return self._row("journal", at, values | {"signal_ts": day(at), "appended_ts": day(at), "decisions": 0})

    def person(self, unit: str, arm: str, at: float = 1, *, shown: bool = True, converts: bool = False, **fields: Any) -> Self:
        """Decided for, shown it (unless held out), and an outcome an hour later or none."""
        self.decide(unit, arm, at, **fields)
        if shown and arm != "held out":
            self.expose(unit, arm, at + 0.001, **fields)
        arms = {"holdout": True} if arm == "held out" else {"variant": arm}
        return self.outcome(unit, at + 0.04, **arms, **fields) if converts else self

    def arm(self, name: str, people: int, converting: int, at: float = 1, prefix: str = "u", **fields: Any) -> Self:
        for number in range(people):
            self.person(f"{prefix}-{name}-{at}-{number}", name, at, converts=number < converting, **fields)
        return self

    def unit(self, name: str) -> str:
        """anon:<device> before login."""
        return f"anon:{self.key}-{name.removeprefix('anon:')}" if name.startswith("anon:") else f"{self.key}-{name}"

    # -- what is told of it

    def write(self, synced_us: int | None = None) -> Self:
        progress = Progress({"written": {0: 1}}, synced_us or day(LATER))
        with Store.open(self.settings) as store:
            store.prepare()
            for name, rows in self.rows.items():
                if rows or synced_us is not None or not store.load(name).metadata.snapshots:
                    store.append(name, rows, progress)
                    rows.clear()
        return self

    def lift(self, at: float = LATER, **request: Any) -> LiftReport:
        with Store.open(self.settings) as store, opened(store, self.settings.warehouse() / "spill") as lake:
            lake.use_raw()
            return lift(lake, self.key, Request(**request), day(at))

    def _row(self, table: str, at: float, values: Values) -> Self:
        place = {"kafka_partition": 0, "kafka_offset": next(_serial), "row_index": 0, "recorded_ts": day(at)}
        self.rows[table].append(place | values)
        return self

    def _id(self) -> str:
        return uuid_of(f"event{next(_serial)}")


def primary(report: LiftReport, population: str = "exposed", arm: str = "B") -> Comparison:
    return next(c for c in report.metrics[0].comparisons if (c.population, c.arm) == (population, arm))


def conversions(report: LiftReport, population: str = "exposed") -> list[tuple[int, float]]:
    """(people, mean) of control and treatment."""
    found = primary(report, population).effect
    assert found is not None
    return [(people, round(mean, 9)) for people, mean in zip(found.people, found.means, strict=True)]
