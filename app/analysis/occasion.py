"""The moment at which results are looked at: only at planned looks, and only at what had been recorded by then.

Owns which look it is, and how far out an effect must be there. Between two looks the answer stays that of the last one, so
that asking again is no further look. Refuses a look without a plan while an experiment runs, and one that the warehouse does
not yet hold all data of.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from scipy.special import ndtr

from app.analysis.boundaries import CLOSEST_LOOKS
from app.analysis.experiment import Experiment
from app.analysis.looks import Look, LookPlan, StopRules, look_plan
from app.contract.policy import Policy
from app.contract.times import SECOND_US, format_us, micros
from app.errors import CallerError

# Of an experiment that has ended without a plan: it is looked at once, which needs no boundary.
USUAL_ALPHA = 0.05
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Occasion(NamedTuple):
    """until_us: what was recorded by then counts. waits: why there is no verdict yet; None when there is to be one.

    plan None: the one look at an experiment that has ended without stop rules.
    """

    until_us: int
    plan: LookPlan | None
    waits: str | None
    min_exposed_per_arm: int = 1

    @property
    def at(self) -> datetime:
        return moment(self.until_us)

    @property
    def is_free(self) -> bool:
        """One of the looks that may be made at any time."""
        return self.plan is not None and self.plan.is_free

    @property
    def number(self) -> int | None:
        """Which of the planned looks; None of a look that is not planned."""
        planned = () if self.plan is None or self.plan.is_free else self.plan.planned
        return planned.index(self.at) + 1 if self.at in planned else None


def occasion(found: Experiment, now_us: int, synced_us: int | None) -> Occasion:
    """synced_us: up to when the warehouse holds all records."""
    known_us = min(now_us, synced_us if synced_us is not None else 0)
    rules = stop_rules(found.policy)
    if rules is None:
        if found.ended_us is None:
            return Occasion(known_us, None, "the policy has no stop_rules, so it is looked at once, when it has ended")
        return _complete(Occasion(found.ended_us, None, None), known_us)
    plan = look_plan(rules, moment(found.started_us))
    least = rules.min_exposed_per_arm
    first, last = micros(plan.planned[0]), micros(plan.planned[-1])
    if found.ended_us is not None and found.ended_us < first:
        days = (found.ended_us - found.started_us) / (86_400 * SECOND_US)
        return Occasion(found.ended_us, plan, f"it ended after {days:.1f} days, before its first look could be made", least)
    if found.ended_us is not None:
        return _complete(Occasion(min(found.ended_us, last), plan, None, least), known_us)
    if known_us < first:
        return Occasion(known_us, plan, f"the first look is at {_shown(plan.planned[0])}", least)
    if plan.is_free:
        return Occasion(min(known_us, last), plan, None, least)
    due = [look for look in plan.planned if micros(look) <= known_us]
    return Occasion(micros(due[-1]), plan, None, least)


def by_hand(found: Experiment, now_us: int, synced_us: int | None) -> Occasion:
    """A look that no plan has, at all that the warehouse holds now. CallerError: nothing says how much alpha it may spend."""
    rules = stop_rules(found.policy)
    if rules is None:
        raise CallerError(
            f"{found.key} has no stop_rules, so a look before its end would leave nothing to claim",
            "End it first, or propose it with stop_rules",
        )
    until_us = min(now_us, synced_us if synced_us is not None else 0)
    plan = look_plan(rules, moment(found.started_us))
    if not found.started_us < until_us <= micros(plan.planned[-1]):
        raise CallerError(
            f"the warehouse is complete until {format_us(until_us)}, which is not within the plan of {found.key}",
            "Sync it; after the last planned look everybody may look",
        )
    return Occasion(until_us, plan, None, rules.min_exposed_per_arm)


def level_at(
    found: Occasion, people_by: Callable[[Sequence[datetime]], list[list[int]]], by_hand_us: Sequence[int] = ()
) -> float:
    """The p that an effect must be below at this look: what the plan may have spent by now, and earlier looks did not.

    people_by: the people of each arm at those moments. A planned look that too few people had come for was not made; nor was
    one that had nobody new since the one before. by_hand_us: looks that were made whoever had come.
    """
    if found.plan is None:
        return USUAL_ALPHA
    if found.is_free:
        return found.plan.due[-1]
    by_hand = {at for us in by_hand_us if (at := moment(us)) < found.at and at > found.plan.started}
    times = sorted({*(look for look in found.plan.planned if look < found.at), *by_hand, found.at})
    looks: list[Look] = []
    total = 0
    counts = people_by(times)
    everybody = sum(counts[-1])
    for at, arms in zip(times, counts, strict=True):
        was_made = at in by_hand or min(arms) >= found.min_exposed_per_arm
        if sum(arms) - total > CLOSEST_LOOKS * everybody and was_made:
            total = sum(arms)
            looks.append(Look(at, total))
    if not looks:
        return 0.0
    return float(2 * ndtr(-found.plan.limits(looks)[-1]))


def stop_rules(policy: Policy) -> StopRules | None:
    """The policy's, as the plan of looks takes them."""
    rules = policy.stop_rules
    if rules is None:
        return None
    hour, minute = rules.looks_utc.removeprefix("daily ").split(":")
    at = int(hour), int(minute)
    return StopRules(rules.min_days, rules.horizon_days, rules.min_exposed_per_arm, at, rules.boundary, rules.alpha)


def moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def _complete(found: Occasion, known_us: int) -> Occasion:
    if known_us >= found.until_us:
        return found
    return found._replace(
        waits=f"the warehouse is complete until {format_us(known_us)}, the look is at {_shown(found.at)}: sync it"
    )


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
