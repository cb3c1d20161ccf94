"""A look at an experiment, from the warehouse: what `truelift lift` says, and each look that was made before, for a picture.

Owns what may be shown: arms are compared at planned looks alone, and a look that is shown is in the log first. While the
experiment runs, the looks before are those that the log has; when it is open to everybody, all that were planned. Refuses to
draw anything between looks.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from functools import cache
from math import isfinite
from typing import Any, NamedTuple

import orjson
from scipy.special import ndtri

from app.analysis.blinding import why_blind
from app.analysis.boundaries import KINDS, boundary_at
from app.analysis.experiment import Experiment, Governed, Story, experiment, stories
from app.analysis.lift import Request, lift
from app.analysis.lift_report import LiftReport
from app.analysis.looked import LookRecord, due
from app.analysis.looks import look_plan
from app.analysis.occasion import moment, stop_rules
from app.console.pictures.course import Course, Seen
from app.contract.policy import Policy
from app.contract.times import micros, parse_us
from app.errors import CallerError
from app.governance import drafts
from app.governance.writer import GovernanceWriter
from app.settings import Settings
from app.warehouse.lake import Lake, opened
from app.warehouse.store import Store

# Of the looks before this one, so many of the newest are measured again for the picture.
MOST_SEEN = 60
# Beyond it the boundary takes seconds to work out, and nobody could tell the looks of the picture apart.
MOST_LIMITS = 100
HALTS = ("paused", "killed", "retired")
LOOK_REASON = "a look in the console"


class Looked(NamedTuple):
    """record: what must be in the log before any of this is shown; None: it is there, or no arms are compared."""

    report: LiftReport
    seen: list[Seen]
    course: Course
    record: LookRecord | None

    def as_json(self) -> dict[str, Any]:
        seen = [one._asdict() for one in self.seen]
        return {"report": self.report.as_json(), "seen": seen, "course": self.course._asdict()}


async def look(settings: Settings, key: str, told: Mapping[str, Story], signer: Any, reason: str) -> dict[str, Any]:
    """told: of the log, as it is now. signer: the key of who looks."""
    if key not in told:
        raise CallerError(f"no policy {key!r}", "See the list of policies")
    found = await asyncio.to_thread(measure, settings, key, told, time.time_ns() // 1_000)
    if found.record is not None:
        draft = drafts.look(found.record.key, found.record.version, found.record.body)
        async with GovernanceWriter(settings, signer) as writer:
            await writer.append(draft, reason=reason or LOOK_REASON)
    return found.as_json()


def course_of(found: Experiment, rows: Iterable[Governed], now_us: int) -> Course:
    """rows: the governance records of that policy."""
    mine = [row for row in rows if row.policy == found.key and row.at_us >= found.started_us]
    steps = [(row.at_us, _coverage(found.policy, row)) for row in mine if row.type in ("activated", "ramped", "rolled_back")]
    halts = [(row.at_us, f"{row.type} by {row.role}") for row in mine if row.type in HALTS]
    rules = stop_rules(found.policy)
    if rules is None:
        return Course(found.started_us, found.ended_us or now_us, (), tuple(steps), tuple(halts))
    plan = look_plan(rules, moment(found.started_us))
    whole = (plan.planned[-1] - plan.started).total_seconds()
    times = tuple((at - plan.started).total_seconds() / whole for at in plan.planned)
    limits = _limits(rules.boundary, times, rules.alpha)
    planned = tuple((micros(at), limit) for at, limit in zip(plan.planned, limits, strict=True))
    return Course(found.started_us, planned[-1][0], planned, tuple(steps), tuple(halts))


def kept_course(body: Mapping[str, Any]) -> Course:
    """From a report that was kept as JSON."""
    return Course(
        body["started_us"],
        body["until_us"],
        *(tuple((at, what) for at, what in body[name]) for name in ("planned", "steps", "halts")),
    )


def measure(settings: Settings, key: str, told: Mapping[str, Story], now_us: int) -> Looked:
    """Nothing of it may be shown before its record is in the log."""
    with Store.open(settings) as store, opened(store, settings.warehouse() / "spill-console") as lake:
        lake.use_raw()
        stored = stories(lake)
        report = lift(lake, key, Request(), now_us)
        blinded = why_blind(told, key, now_us) is not None
        # The log knows looks that the warehouse has not synced yet.
        known = {key: told[key]} if key in told else stored
        record = due(known, report, by_hand=False, blinded=blinded, named=None)
        course = course_of(experiment(stored, key), _rows(lake, key), now_us)
        times = _seen_at(course, known[key], parse_us(report.looked_at), blinded=blinded) if report.is_open else []
        before = [one for at in times for one in _seen(lift(lake, key, Request(), at)) if one.at_us == at]
        return Looked(report, [*before, *_seen(report)], course, record)


def _seen_at(course: Course, story: Story, until_us: int, *, blinded: bool) -> list[int]:
    """The looks before this one that may be shown: those that were made, and when all is open those that were planned."""
    open_to_all = set() if blinded else {at for at, _ in course.planned}
    return sorted(at for at in open_to_all | set(story.looks) if course.started_us < at < until_us)[-MOST_SEEN:]


def _rows(lake: Lake, key: str) -> list[Governed]:
    """Of the policy, applied, oldest first."""
    rows = lake.rows(
        "SELECT type, policy, rule_version, body, role, reason, epoch_us(recorded_ts) FROM raw.governance "
        "WHERE refusal IS NULL AND policy = ? ORDER BY kafka_offset",
        (key,),
    )
    return [
        Governed(kind, policy, version, orjson.loads(body), role, reason, at_us)
        for kind, policy, version, body, role, reason, at_us in rows
    ]


def _seen(report: LiftReport) -> list[Seen]:
    """Of the primary metric, by arm; nothing where nothing is claimed or estimated."""
    if not report.is_open or report.level is None:
        return []
    limit = -float(ndtri(report.level / 2)) if report.level > 0 else 8.0
    found = []
    for comparison in report.metrics[0].comparisons:
        effect = comparison.effect
        if comparison.verdict is None or effect is None or effect.difference_ci is None:
            continue
        relative = effect.relative_ci is not None and effect.relative is not None
        low, high = (effect.relative_ci if relative else effect.difference_ci) or (0.0, 0.0)
        estimate = (effect.relative if relative else effect.difference) or 0.0
        if isfinite(low) and isfinite(high):
            at_us = parse_us(report.looked_at)
            found.append(Seen(at_us, comparison.arm, effect.statistic, limit, estimate, low, high, relative))
    return found


def _coverage(policy: Policy, row: Governed) -> int:
    if row.type == "ramped":
        return int(row.body["coverage_permille"])
    return policy.ramp[0]


@cache
def _limits(kind: str, times: tuple[float, ...], alpha: float) -> tuple[float | None, ...]:
    """None where there is none: a boundary that is always valid has no looks of its own."""
    name = kind.replace("_", "-")
    if name not in KINDS or len(times) > MOST_LIMITS:
        return (None,) * len(times)
    return tuple(boundary_at(name, times, alpha).z)
