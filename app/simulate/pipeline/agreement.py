"""Does the warehouse hold what was drawn? The direct way counts the same people; every figure of both must be the same.

Owns what is compared: people of each arm, the alarm that takes the verdict away, and where there is none the effect.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from app.analysis.alarms import alarms, invalid
from app.analysis.alarms.alarm import fired
from app.analysis.effect import Effect, effect
from app.analysis.lift_report import LiftReport
from app.simulate.pipeline.script import Script
from app.simulate.trial import LEVEL
from app.simulate.written import ARMS, Recorded, recorded

# Of sums of the same numbers in another order.
SAME = 1e-9


class Through(NamedTuple):
    """One trap, once. naive_*: the dashboard. effect: ours, None where an alarm takes it away. differs: what the warehouse has
    otherwise than it was drawn, in words; fired: alarms."""

    script: Script
    people: int
    naive_difference: float
    naive_p: float
    verdict: str
    because: str
    effect: Effect | None
    fired: list[str]
    differs: list[str]


def agreement(script: Script, report: LiftReport) -> Through:
    dashboard = script.played.dashboard
    return Through(
        script,
        len(script.people),
        float(dashboard.difference[0]),
        float(dashboard.p[0]),
        report.verdict,
        report.because,
        _ours(script, report),
        list(dict.fromkeys(alarm.name for alarm in fired(report.alarms))),
        list(_differences(script, report)),
    )


def _ours(script: Script, report: LiftReport) -> Effect | None:
    """Of the population that the trap's claim is about."""
    if not report.is_open:
        return None
    population = _population(script)
    return next(one.effect for one in report.metrics[0].comparisons if one.population == population)


def _population(script: Script) -> str:
    written = script.played.written
    return "exposed" if bool((written.claimed == (written.there & written.shown)).all()) else "assigned"


def _differences(script: Script, report: LiftReport) -> Iterator[str]:
    written = script.played.written
    (direct,) = recorded(written, script.trap.found)
    for arm, name in enumerate(ARMS):
        mine = written.there[0] & (written.arm[0] == bool(arm))
        drawn = int(mine.sum()), int((mine & written.shown[0]).sum())
        held = next(((size.assigned, size.exposed) for size in report.arms if size.arm == name), (0, 0))
        if held != drawn:
            yield f"{name}: {held[0]:,} assigned and {held[1]:,} shown, drawn were {drawn[0]:,} and {drawn[1]:,}"
    wrong, expected = (invalid(found, "verdict") for found in (report.alarms, alarms(direct.facts)))
    said, wanted = ("none" if one is None else one.name for one in (wrong, expected))
    if said != wanted:
        yield f"the alarm is {said}, it ought to be {wanted}"
    if wrong is None:
        yield from _effect_differs(_ours(script, report), direct)


def _effect_differs(ours: Effect | None, direct: Recorded) -> Iterator[str]:
    drawn = effect(direct.control, direct.treatment, "binary", LEVEL)
    if ours is None or drawn is None:
        if ours is not drawn:
            yield f"the effect is {ours}, drawn was {drawn}"
    elif ours.people != drawn.people or not math.isclose(ours.difference, drawn.difference, abs_tol=SAME):
        yield f"the effect is {ours.difference:+.6f} of {ours.people}, drawn was {drawn.difference:+.6f} of {drawn.people}"
