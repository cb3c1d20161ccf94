"""What `truelift lift` says, as values. Field names are the keys of --json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.analysis.alarms import Alarm
from app.analysis.arms import ArmSize
from app.analysis.effect import Effect
from app.analysis.join import Counts
from app.analysis.shares import Srm
from app.analysis.timings import Timings

SCHEMA = "truelift.lift_report/1"


class Comparison(NamedTuple):
    """arm against `against`. population: assigned (intention to treat) | exposed. effect None: no estimate.

    p_adjusted: Holm's, over the questions of the same family. It and the verdict are None of the population not claimed about.
    """

    arm: str
    against: str
    population: str
    effect: Effect | None
    p_adjusted: float | None
    verdict: str | None

    def as_json(self) -> dict[str, Any]:
        effect = {} if self.effect is None else self.effect._asdict()
        return {**self._asdict(), "effect": effect or None}


class MetricLift(NamedTuple):
    """One metric. lacking: events that carry no number where the policy says that there is one."""

    role: str
    name: str
    kind: str
    comparisons: list[Comparison]
    lacking: int

    def as_json(self) -> dict[str, Any]:
        return {**self._asdict(), "comparisons": [comparison.as_json() for comparison in self.comparisons]}


class Pooled(NamedTuple):
    """All arms together: what may be seen before a look."""

    role: str
    name: str
    people: int
    mean: float


class SegmentLift(NamedTuple):
    segment: str | None
    comparison: Comparison


class HorizonLift(NamedTuple):
    """A metric over so many days, of people for whom they are over. metric: a role and name, or retained."""

    days: int
    metric: str
    comparison: Comparison


class DayLift(NamedTuple):
    """Treated minus held out, of people whose trigger was on that day (UTC). error: the difference's standard error."""

    day: str
    treated: int
    held_out: int
    difference: float
    error: float
    relative: float | None


@dataclass(frozen=True)
class LiftReport:
    """claim: the population that the verdict is about. level: the p to be below at this look. sizes and counts are always
    there; what compares arms only when `is_open`. timings: when each arm acts, where the arms differ in that.
    unit_of_analysis: person, or decision where each is drawn for; then whatever counts people counts decisions."""

    key: str
    verdict: str
    because: str
    versions: tuple[int, int]
    versions_left_out: tuple[int, ...]
    started: str
    ended: str | None
    looked_at: str
    look: int | None
    looks: int | None
    level: float | None
    claim: str
    control: str
    srm: Mapping[str, Srm]
    alarms: list[Alarm]
    arms: list[ArmSize]
    left_out: Counts
    pooled: list[Pooled]
    metrics: list[MetricLift]
    holdout: list[MetricLift]
    over_time: list[DayLift]
    segments: list[SegmentLift]
    segments_by: str | None
    horizons: list[HorizonLift]
    cuped_days: int
    timings: Timings | None = None
    unit_of_analysis: str = "person"

    @property
    def is_open(self) -> bool:
        return bool(self.metrics)

    def as_json(self) -> dict[str, Any]:
        plain = {
            **vars(self),
            "srm": {population: found._asdict() for population, found in self.srm.items()},
            "timings": None if self.timings is None else self.timings._asdict(),
            "alarms": [alarm._asdict() for alarm in self.alarms],
            "arms": [arm._asdict() for arm in self.arms],
            "left_out": self.left_out._asdict(),
            "pooled": [pooled._asdict() for pooled in self.pooled],
            "metrics": [metric.as_json() for metric in self.metrics],
            "holdout": [metric.as_json() for metric in self.holdout],
            "over_time": [day._asdict() for day in self.over_time],
            "segments": [{"segment": s.segment, **s.comparison.as_json()} for s in self.segments],
            "horizons": [{"days": h.days, "metric": h.metric, **h.comparison.as_json()} for h in self.horizons],
        }
        return {"schema": SCHEMA, **plain}
