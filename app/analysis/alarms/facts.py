"""The facts that alarms are read from: counts of people and records of one experiment. No outcome by arm is among them.

Owns the order of the SQL files and their parameters. Refuses to judge.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.analysis.alarms.features import read_features
from app.analysis.alarms.scored import Cell, Daily, calibration, scores
from app.analysis.arms import Sizes
from app.analysis.cells import Stratum
from app.analysis.experiment import Experiment
from app.analysis.join import DAY_US, Counts, Join
from app.analysis.looks import CYCLE_DAYS
from app.warehouse.lake import Lake

# Of a dimension such as the route; smaller ones are one segment.
MOST_SEGMENTS = 20
CYCLE_US = CYCLE_DAYS * DAY_US


class Shown(NamedTuple):
    """Exposures of a segment of a dimension (device, locale, route). in_time None: not said. early: in the first week."""

    dimension: str
    segment: str
    arm: str
    stratum: Stratum
    in_time: bool | None
    early: bool
    people: int


class HeldOut(NamedTuple):
    """People assigned at their entry. phase: the ramp's step; week: from the start of the experiment."""

    phase: int
    week: int
    held_out: bool
    people: int


class Totals(NamedTuple):
    """people: with any assignment. held_out_shown: people of the holdout who were shown something."""

    people: int
    held_out: int
    exposures: int
    held_out_shown: int


class Facts(NamedTuple):
    """decided: arm -> (in time, late) of the decisions that drew it. rerolled: rule version -> units that it moved.
    days: kind of record -> day since 1970-01-01 -> records. The last three are of a policy with a model: what it said, what it
    looked at (as the last `truelift drift` has found it), and what came of its predictions."""

    found: Experiment
    until_us: int
    assigned: Sizes
    exposed: Sizes
    decided: Mapping[str, tuple[int, int]]
    shown: Sequence[Shown]
    rerolled: Mapping[int, int]
    holdout: Sequence[HeldOut]
    totals: Totals
    counts: Counts
    days: Mapping[str, Mapping[int, int]]
    scores: Sequence[Daily] = ()
    features: Sequence[Daily] = ()
    calibration: Sequence[Cell] = ()


def gather(lake: Lake, found: Experiment, join: Join) -> Facts:
    """Of what the join holds: its tables must be there still, and `lake` be the one that it was made on."""
    given = join.parameters | {"started_us": found.started_us, "cycle_us": CYCLE_US, "most": MOST_SEGMENTS}
    decided: dict[str, tuple[int, int]] = {}
    for arm, late, people in lake.run("alarm_decided", given):
        if late is not None:
            in_time, too_late = decided.get(arm, (0, 0))
            decided[arm] = (in_time, too_late + people) if late else (in_time + people, too_late)
    days: dict[str, dict[int, int]] = {}
    for kind, day, records in lake.run("alarm_days", given):
        days.setdefault(kind, {})[day] = records
    (totals,) = lake.run("alarm_totals", given)
    return Facts(
        found,
        join.until_us,
        join.sizes("assigned"),
        join.sizes("exposed"),
        decided,
        [
            Shown(dimension, segment, arm, (version, phase), in_time, early, people)
            for dimension, segment, arm, version, phase, in_time, early, people in lake.run("alarm_shown", given)
        ],
        dict(lake.run("alarm_rerolled", given)),
        [HeldOut(*row) for row in lake.run("alarm_holdout", given)],
        Totals(*totals),
        join.counts(),
        days,
        list(scores(lake, found, join.until_us)),
        read_features(lake.drift_file(found.key), found),
        calibration(lake, found, given),
    )
