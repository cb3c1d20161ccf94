"""lift: what may be claimed of one experiment, and what may be shown of it now.

The way of it: the policy's story -> the occasion (is there a look?) -> the join -> would an alarm make it
untrue? -> the effect of every metric -> the verdict. What compares arms is only worked out when there is a look.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.analysis.alarms import Alarm, alarms, gather, invalid
from app.analysis.alarms.effects import OutcomeFacts, outcome_alarms
from app.analysis.always_valid import always_valid
from app.analysis.arms import HELD_OUT, ArmSize, arm_sizes, mismatch
from app.analysis.cells import Arm, pooled, pooled_arm, without_covariate
from app.analysis.decay import Day as Decaying
from app.analysis.effect import Effect, MetricKind, effect
from app.analysis.experiment import Experiment, experiment, stories
from app.analysis.join import DAY_US, Day, Join, Measured, Population, horizon, retention
from app.analysis.lift_report import (
    Comparison,
    DayLift,
    HorizonLift,
    LiftReport,
    MetricLift,
    Pooled,
    SegmentLift,
)
from app.analysis.metrics import Metric, metrics_of
from app.analysis.multiplicity import holm
from app.analysis.occasion import Occasion, by_hand, level_at, moment, occasion
from app.analysis.timings import timings
from app.analysis.verdict import INVALID, MARGIN, NO_ESTIMATE, NOT_YET, STOPPED, Case, verdict
from app.contract.times import format_us
from app.errors import CallerError
from app.warehouse.lake import Lake

TREATED = "treated"
# Of a dimension such as the route; who is in no shown segment is still in every figure over all of them.
MOST_SEGMENTS = 20


class Request(NamedTuple):
    """by: device | locale | route. horizons: days. cuped_days: 0 for none. margin: relative, see verdict.py. by_hand: a look
    that no plan has; whoever asks for it has it in the governance log first (looked.py)."""

    by: str | None = None
    horizons: tuple[int, ...] = ()
    cuped_days: int = 0
    control: str | None = None
    margin: float = MARGIN
    by_hand: bool = False


def lift(lake: Lake, key: str, request: Request, now_us: int) -> LiftReport:
    """CallerError: an unknown policy, one of which no lift can be claimed, an unknown control, what decisions do not have."""
    found = experiment(stories(lake), key)
    _check_possible(found, request)
    metrics = metrics_of(found.policy)
    control = _control(found, request.control)
    look = (by_hand if request.by_hand else occasion)(found, now_us, lake.synced_us())
    join = Join(lake, found, look.until_us, request.by, request.cuped_days)
    return _Lift(found, metrics, control, look, join, request, alarms(gather(lake, found, join))).report()


class _Lift:
    """One report in the making: what its parts share."""

    def __init__(
        self,
        found: Experiment,
        metrics: list[Metric],
        control: str,
        look: Occasion,
        join: Join,
        request: Request,
        read: list[Alarm],
    ) -> None:
        self.found = found
        self.metrics = metrics
        self.control = control
        self.look = look
        self.join = join
        self.request = request
        self.alarms = read
        self.claim: Population = "assigned" if found.is_about_timing else "exposed"
        assigned, exposed = join.sizes("assigned"), join.sizes("exposed")
        self.sizes = arm_sizes(found, assigned, exposed)
        tests = {"assigned": mismatch(found, assigned), "exposed": mismatch(found, exposed)}
        self.srm = {population: test for population, test in tests.items() if test is not None}
        self.level = 0.0

    def report(self) -> LiftReport:
        verdict, because = self._stopped()
        # The primary last: what comes after is about it, and its events are at hand.
        measured = [self.join.measure(metric) for metric in reversed(self.metrics)][::-1]
        comparisons: list[MetricLift] = []
        days: list[DayLift] = []
        if verdict is None:
            self.level = level_at(
                self.look, lambda times: self.join.people_by(self.claim, self.found.arms, times), self.found.by_hand_us
            )
            comparisons, days = self._compared(measured), _days(self.join.over_time(self.metrics[0]), self.metrics[0].kind)
            self.alarms = [*self.alarms, *outcome_alarms(self._outcome_facts(days))]
            verdict, because = _headline(comparisons[0]), self._look_said()
            wrong = invalid(self.alarms, "verdict")
            if wrong is not None:
                comparisons, verdict, because = [], f"{INVALID}: {wrong.name}", wrong.said
        is_open = bool(comparisons)
        return LiftReport(
            key=self.found.key,
            verdict=verdict,
            because=because,
            versions=(self.found.first_version, self.found.last_version),
            versions_left_out=self.found.left_out,
            started=format_us(self.found.started_us),
            ended=None if self.found.ended_us is None else format_us(self.found.ended_us),
            looked_at=format_us(self.look.until_us),
            look=self.look.number,
            looks=None if self.look.plan is None or self.look.is_free else len(self.look.plan.planned),
            level=self.level if is_open else None,
            claim=self.claim,
            control=self.control,
            srm=self.srm,
            alarms=self.alarms,
            arms=self.sizes,
            left_out=self.join.counts(),
            pooled=[self._pooled(metric, found) for metric, found in zip(self.metrics, measured, strict=True)],
            metrics=comparisons,
            holdout=self._against_holdout(measured) if is_open and invalid(self.alarms, "holdout") is None else [],
            over_time=days if is_open else [],
            segments=self._segments(measured[0]) if is_open else [],
            segments_by=self.request.by,
            horizons=list(self._horizons()) if is_open else [],
            cuped_days=self.request.cuped_days,
            timings=timings(self.found),
            unit_of_analysis="decision" if self.found.is_per_decision else "person",
        )

    def _outcome_facts(self, days: Sequence[DayLift]) -> OutcomeFacts:
        """A day counts for decay when the outcome windows of all its people are over: before that it only looks worse."""
        primary = self.metrics[0]
        over = moment(self.look.until_us - min(primary.window_us, self.look.until_us) - DAY_US).date().isoformat()
        unshown = {} if self.claim == "assigned" else self.join.unshown(primary)
        mature = [Decaying(day.difference, day.error) for day in days if day.day <= over]
        return OutcomeFacts(self.control, primary.kind, unshown, mature)

    def _stopped(self) -> tuple[str | None, str]:
        """Why no arm is held against another; None when there is nothing in the way."""
        wrong = invalid(self.alarms, "verdict")
        if wrong is not None:
            return f"{INVALID}: {wrong.name}", wrong.said
        if self.found.guardian_said is not None:
            return STOPPED, self.found.guardian_said
        if self.look.waits is not None:
            return NOT_YET, self.look.waits
        least, needed = min(self._claimed(size) for size in self.sizes if size.arm != HELD_OUT), self.look.min_exposed_per_arm
        if least < needed and not self.request.by_hand:
            return NOT_YET, f"the smallest arm has {least:,} {self.claim}, {needed:,} are needed"
        return None, ""

    def _claimed(self, size: ArmSize) -> int:
        return size.assigned if self.claim == "assigned" else size.exposed

    def _look_said(self) -> str:
        if self.look.plan is None:
            return "the one look after its end; no stop_rules"
        if self.look.is_free:
            return "always valid: a look at any time, which spends nothing"
        planned = len(self.look.plan.planned)
        if self.request.by_hand:
            return f"a look by hand; {planned} were planned, and those to come have that much less to spend"
        return f"look {self.look.number} of {planned}" if self.look.number else f"the look at its end; {planned} were planned"

    # -- arm against arm

    def _compared(self, measured: Sequence[Measured]) -> list[MetricLift]:
        """The primary is one family of questions, all other metrics are another."""
        claims = [
            [self._effect(found.arms(self.claim), arm, metric.kind) for arm in self._treatments()]
            for metric, found in zip(self.metrics, measured, strict=True)
        ]
        adjusted = [_holm(claims[0]), *_split(_holm([e for row in claims[1:] for e in row]), len(self._treatments()))]
        lifts = []
        for metric, found, effects, ps in zip(self.metrics, measured, claims, adjusted, strict=True):
            rows = []
            for arm, estimate, p in zip(self._treatments(), effects, ps, strict=True):
                rows.append(self._comparison(arm, self.control, self.claim, estimate, p, metric.lower_is_better))
                other: Population = "assigned" if self.claim == "exposed" else "exposed"
                beside = self._effect(found.arms(other), arm, metric.kind)
                rows.append(Comparison(arm, self.control, other, beside, None, None))
            lifts.append(MetricLift(metric.role, metric.name, metric.kind, rows, found.lacking))
        return lifts

    def _treatments(self) -> list[str]:
        return [arm for arm in self.found.arms if arm != self.control]

    def _effect(self, arms: dict[str, Arm], arm: str, kind: MetricKind) -> Effect | None:
        return self._against(arms.get(self.control, {}), arms.get(arm, {}), kind)

    def _against(self, control: Arm, treatment: Arm, kind: MetricKind) -> Effect | None:
        if self.request.cuped_days and kind == "continuous":
            control, treatment = without_covariate(control, treatment) or (control, treatment)
        return (always_valid if self.look.is_free else effect)(control, treatment, kind, self.level)

    def _comparison(
        self, arm: str, against: str, population: Population, estimate: Effect | None, p: float, lower: bool
    ) -> Comparison:
        case = Case(arm, estimate, p <= self.level, lower, self.request.margin)
        return Comparison(arm, against, population, estimate, p, verdict(case))

    # -- against the holdout, over time, by segment, by horizon

    def _against_holdout(self, measured: Sequence[Measured]) -> list[MetricLift]:
        """All arms together against who was held out, from the trigger on; who was covered later is in neither."""
        pairs = []
        for metric, found in zip(self.metrics, measured, strict=True):
            arms = found.arms("assigned", at_entry=True)
            held_out = arms.pop(HELD_OUT, {})
            if held_out:
                pairs.append((metric, self._against(held_out, pooled_arm(arms.values()), metric.kind)))
        adjusted = _holm([estimate for _, estimate in pairs])
        return [
            MetricLift(
                metric.role,
                metric.name,
                metric.kind,
                [self._comparison(TREATED, HELD_OUT, "assigned", estimate, p, metric.lower_is_better)],
                0,
            )
            for (metric, estimate), p in zip(pairs, adjusted, strict=True)
        ]

    def _segments(self, found: Measured) -> list[SegmentLift]:
        """The primary metric where it was shown: before the exposure nobody knows device, locale and route."""
        if self.request.by is None:
            return []
        kind = self.metrics[0].kind
        asked = [
            (segment, arm, self._effect(found.arms("exposed", segment=segment), arm, kind))
            for segment in found.segments()[:MOST_SEGMENTS]
            for arm in self._treatments()
        ]
        adjusted = _holm([estimate for _, _, estimate in asked])
        return [
            SegmentLift(segment, self._comparison(arm, self.control, "exposed", estimate, p, False))
            for (segment, arm, estimate), p in zip(asked, adjusted, strict=True)
        ]

    def _horizons(self) -> Iterable[HorizonLift]:
        asked: list[tuple[int, str, MetricKind, bool, Measured]] = []
        for days in self.request.horizons:
            asked += [
                (days, metric.label, metric.kind, metric.lower_is_better, self.join.measure(metric, horizon(days)))
                for metric in self.metrics
            ]
            asked.append((days, "retained", "binary", False, self.join.retained(retention(days))))
        rows = [
            (days, name, lower, arm, self._effect(found.arms(self.claim), arm, kind))
            for days, name, kind, lower, found in asked
            for arm in self._treatments()
        ]
        for (days, name, lower, arm, estimate), p in zip(rows, _holm([row[-1] for row in rows]), strict=True):
            yield HorizonLift(days, name, self._comparison(arm, self.control, self.claim, estimate, p, lower))

    def _pooled(self, metric: Metric, found: Measured) -> Pooled:
        arms = [arm for name, arm in found.arms(self.claim).items() if name != HELD_OUT]
        cell = pooled(cell for arm in arms for cell in arm.values())
        if cell is None:
            return Pooled(metric.role, metric.name, 0, 0.0)
        mean = cell.mean_x if metric.kind != "ratio" else cell.mean_x / cell.mean_y if cell.mean_y else 0.0
        return Pooled(metric.role, metric.name, cell.people, mean)


def _check_possible(found: Experiment, request: Request) -> None:
    if found.is_per_decision and (request.horizons or request.cuped_days):
        what = "a horizon" if request.horizons else "what a person did before"
        raise CallerError(
            f"{found.key} draws at each decision, so its units are decisions, and {what} is a person's",
            "Leave --horizon and --cuped out; the metrics count from each decision to the unit's next one",
        )


def _control(found: Experiment, named: str | None) -> str:
    if named is not None and named not in found.arms:
        raise CallerError(f"{found.key} has no arm {named!r}", f"Its arms are {', '.join(found.arms)}")
    return named or found.arms[0]


def _days(days: Sequence[Day], kind: MetricKind) -> list[DayLift]:
    """Days on which both groups had people enough."""
    found = []
    for day in days:
        estimate = effect(day.held_out, day.treated, kind, 0.05)
        if estimate is not None and estimate.error > 0:
            held_out, treated = estimate.people
            at = moment(day.day * DAY_US).date().isoformat()
            found.append(DayLift(at, treated, held_out, estimate.difference, estimate.error, estimate.relative))
    return found


def _headline(primary: MetricLift) -> str:
    claimed = [comparison.verdict for comparison in primary.comparisons if comparison.verdict is not None]
    return "; ".join(claimed) or NO_ESTIMATE


def _holm(effects: Sequence[Effect | None]) -> list[float]:
    return holm([1.0 if estimate is None else estimate.p for estimate in effects])


def _split(values: Sequence[float], size: int) -> list[list[float]]:
    return [list(values[i : i + size]) for i in range(0, len(values), size)]
