"""The join of decisions, exposures and outcomes of one policy, as the SQL files make it; its results as cells and counts.

Owns the order of the files and their parameters. What counts and what does not is said in the SQL alone: the same files run on
other warehouses.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from app.analysis.arms import Sizes
from app.analysis.cells import Arm, Cell, Stratum, pooled_arm
from app.analysis.experiment import Experiment
from app.analysis.metrics import Metric
from app.contract.times import HOUR_US, micros
from app.contract.topics import event_topic
from app.warehouse.lake import Lake, Record

Population = Literal["assigned", "exposed"]
DAY_US = 24 * HOUR_US
# The steps after the drills, in order: each makes the table that it is named after.
STEPS = ("people", "asked", "triggers", "bound", "shown", "population")
# Before them, where a model chooses: the variant of its rows is from here on their arm, which is who chose when it was drawn.
_CHOOSERS = "SELECT assignment_id, any_value(chosen_by) AS chosen_by FROM raw.decisions WHERE chosen_by IS NOT NULL GROUP BY 1"
ARMS_BY_CHOOSER = {
    name: f"SELECT r.* REPLACE (coalesce(c.chosen_by, r.variant) AS variant) FROM raw.{name} AS r "
    f"LEFT JOIN ({_CHOOSERS}) AS c ON c.assignment_id = r.assignment_id"
    for name in ("decisions", "exposures")
}


# Where it does so at each decision: the unit of its rows is the decision too, and whoever is held out has none to be compared.
DECISIONS_AS_UNITS = {
    "decisions": f"SELECT r.* REPLACE (CASE WHEN r.policy = '{{key}}' AND c.chosen_by IS NOT NULL THEN r.decision_id "
    "ELSE r.unit END AS unit, coalesce(c.chosen_by, r.variant) AS variant) FROM raw.decisions AS r "
    f"LEFT JOIN ({_CHOOSERS}) AS c ON c.assignment_id = r.assignment_id WHERE r.policy <> '{{key}}' OR NOT r.holdout",
    "exposures": f"SELECT r.* REPLACE (CASE WHEN r.policy = '{{key}}' THEN r.decision_id ELSE r.unit END AS unit, "
    "coalesce(c.chosen_by, r.variant) AS variant) FROM raw.exposures AS r "
    f"LEFT JOIN ({_CHOOSERS}) AS c ON c.assignment_id = r.assignment_id",
}


class Window(NamedTuple):
    """Which events of a person count: later than after_us, up to within_us. matured_us: only people who had so much time."""

    within_us: int
    after_us: int = 0
    matured_us: int = 0


class Entry(NamedTuple):
    population: str
    segment: str | None
    arm: str
    stratum: Stratum
    at_entry: bool
    cell: Cell


class Measured:
    """One metric, cell by cell. lacking: events that carry no number where the policy says that there is one."""

    def __init__(self, entries: Sequence[Entry], lacking: int) -> None:
        self.entries = entries
        self.lacking = lacking

    def arms(self, population: Population, *, segment: str | None = None, at_entry: bool = False) -> dict[str, Arm]:
        """segment None: all of them together. at_entry: only who was assigned at the first time asked."""
        parts: dict[str, list[Arm]] = defaultdict(list)
        for entry in self.entries:
            if entry.population == population and segment in (None, entry.segment) and (entry.at_entry or not at_entry):
                parts[entry.arm].append({entry.stratum: entry.cell})
        return {arm: pooled_arm(found) for arm, found in parts.items()}

    def segments(self) -> list[str | None]:
        """Of the exposed, the largest first."""
        sizes: dict[str | None, int] = defaultdict(int)
        for entry in self.entries:
            if entry.population == "exposed":
                sizes[entry.segment] += entry.cell.people
        return sorted(sizes, key=lambda segment: (-sizes[segment], segment or ""))


class Day(NamedTuple):
    """day: since 1970-01-01. treated, held_out: the metric of people whose trigger was on it."""

    day: int
    treated: Arm
    held_out: Arm


class Counts(NamedTuple):
    """What the join left out. covered_later: only out of comparisons with the holdout."""

    crossovers: int
    reassigned: int
    re_identified: int
    covered_later: int
    exposures_without_decision: int
    duplicate_exposures: int


class Join:
    """Makes the tables of the join when it is made. by: device | locale | route, or None. parameters: of all its SQL files."""

    def __init__(self, lake: Lake, found: Experiment, until_us: int, by: str | None = None, cuped_days: int = 0) -> None:
        self._lake = lake
        self.until_us = until_us
        self.parameters: dict[str, Any] = {
            "policy": found.key,
            "first_version": found.first_version,
            "last_version": found.last_version,
            "until_us": until_us,
            "by": by or "",
        }
        self._before_us = cuped_days * DAY_US
        self._covariate: str | None = None
        self._loaded: str | None = None
        self._reacted: Window | None = None
        # Asked for by the alarms and by the report: the tables do not change once they are made.
        self._counts: Counts | None = None
        self._sizes: dict[Population, Sizes] = {}
        for name in ARMS_BY_CHOOSER:  # of another policy's join on this lake
            lake.rows(f"DROP VIEW IF EXISTS main.{name}")
        lake.run("drills", self.parameters)
        if found.policy.model is not None:
            lake.run("scored", self.parameters)
        if found.is_of_a_model:
            views = DECISIONS_AS_UNITS if found.is_per_decision else ARMS_BY_CHOOSER
            for name, view in views.items():  # a key is a name of narrow charset, which needs no quoting
                lake.rows(f"CREATE OR REPLACE VIEW main.{name} AS {view.format(key=found.key)}")
        for step in STEPS:
            lake.run(step, self.parameters)

    def counts(self) -> Counts:
        if self._counts is None:
            (row,) = self._lake.run("counts", {})
            self._counts = Counts(*row)
        return self._counts

    def sizes(self, population: Population) -> Sizes:
        if population not in self._sizes:
            rows = self._lake.rows(
                "SELECT rule_version, phase, arm, count(*) FROM population WHERE population = $population GROUP BY ALL",
                {"population": population},
            )
            self._sizes[population] = {((version, phase), arm): people for version, phase, arm, people in rows}
        return self._sizes[population]

    def people_by(self, population: Population, arms: Sequence[str], times: Sequence[datetime]) -> list[list[int]]:
        """People of each arm who were there at each of these moments."""
        rows = self._lake.rows(
            "SELECT t.at_us, p.arm, count(*) FROM population AS p JOIN unnest($times) AS t(at_us) ON p.recorded_us <= t.at_us "
            "WHERE p.population = $population GROUP BY ALL",
            {"population": population, "times": [micros(at) for at in times]},
        )
        found = {(at_us, arm): people for at_us, arm, people in rows}
        return [[found.get((micros(at), arm), 0) for arm in arms] for at in times]

    def measure(self, metric: Metric, window: Window | None = None) -> Measured:
        self._load(metric)
        return self._measured(metric.kind, window or Window(metric.window_us), metric.event)

    def retained(self, window: Window) -> Measured:
        """Whether a person did anything within the window."""
        self._loaded = self._reacted = None
        self._lake.run("signals", self.parameters)
        return self._measured("binary", window, "")

    def over_time(self, metric: Metric) -> list[Day]:
        self._load(metric)
        self._react(Window(metric.window_us))
        rows = self._lake.run("over_time", {"kind": metric.kind})
        days: dict[int, dict[bool, dict[Stratum, Cell]]] = {}
        for day, version, phase, held_out, *figures in rows:
            days.setdefault(day, {True: {}, False: {}})[held_out][version, phase] = _cell(figures)
        return [Day(day, found[False], found[True]) for day, found in sorted(days.items())]

    def unshown(self, metric: Metric) -> dict[str, Arm]:
        """Arm -> people assigned and never shown anything."""
        self._load(metric)
        self._react(Window(metric.window_us))
        found: dict[str, dict[Stratum, Cell]] = defaultdict(dict)
        for version, phase, arm, *figures in self._lake.run("alarm_unshown", {"kind": metric.kind}):
            found.setdefault(arm, {})[version, phase] = _cell(figures)
        return dict(found.items())

    def _load(self, metric: Metric) -> None:
        """The table `outcome` holds the events of one metric at a time."""
        if self._loaded != metric.role:
            self._loaded, self._reacted = metric.role, None
            parameters = {"role": metric.role, "event": metric.event, "kind": metric.kind, "value_path": metric.value_path}
            self._lake.run("outcome", self.parameters | parameters)

    def _react(self, window: Window) -> None:
        """The table `reacted` holds what came within one window at a time; how old people are is asked of them afterwards."""
        if self._reacted != window._replace(matured_us=0):
            self._reacted = window._replace(matured_us=0)
            self._lake.run("reacted", {"after_us": window.after_us, "window_us": window.within_us})

    def _measured(self, kind: str, window: Window, event: str) -> Measured:
        self._react(window)
        if self._covariate != event:
            self._covariate = event
            self._lake.run("covariate", {"topic": event_topic(event), "before_us": self._before_us if event else 0})
        parameters = {"kind": kind, "matured_us": window.matured_us}
        entries = list(_entries(self._lake.run("metric", self.parameters | parameters)))
        return Measured(entries, self._lacking() if kind in ("continuous", "ratio") else 0)

    def _lacking(self) -> int:
        (count,) = self._lake.one("SELECT count(*) FROM outcome WHERE value IS NULL OR NOT abs(value) <= 1e15")
        return int(count)


def horizon(days: int) -> Window:
    """Everything within so many days, of people for whom they are over."""
    return Window(days * DAY_US, 0, days * DAY_US)


def retention(days: int) -> Window:
    """The last week of the horizon, the day of the exposure left out: who did anything then has stayed."""
    return Window(days * DAY_US, max(1, days - 7) * DAY_US, days * DAY_US)


def _entries(rows: Sequence[Record]) -> Iterator[Entry]:
    for population, segment, version, phase, arm, at_entry, *figures in rows:
        yield Entry(population, segment, arm, (version, phase), at_entry, _cell(figures))


def _cell(figures: Sequence[Any]) -> Cell:
    """A single person has no variance: SQL says null."""
    people, *rest = figures
    return Cell(people, *(0.0 if figure is None else figure for figure in rest))
