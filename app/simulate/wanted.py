"""What a simulation must show: each rule says in words what does not hold. Fewer repetitions leave chance more room."""

import math
from collections.abc import Iterator, Sequence

from app.simulate.peeking import NAIVE, Stopped
from app.simulate.trial import LEVEL, Outcome

# From so many on the bounds hold as they are.
USUAL_REPETITIONS = 1_000
# Three times the error that it promises.
FOOLED = 0.15
ERROR_ROOM = 0.02
LEAST_FIRES, MOST_FALSE_ALARMS = 0.99, 0.01
MOST_SEQUENTIAL, LEAST_NAIVE_PEEK = 0.065, 0.2
LEAST_POWER, MOST_MEAN_STOP_DAYS = 0.93, 18.0
# Of a lift of the size that is drawn, with the people that are drawn.
LEAST_WINS = 0.8
OBRIEN_FLEMING = "obrien-fleming"
# Of the figures that may be off by chance: one false finding in two thousand.
STANDARD_ERRORS = 3.5


def failures(outcomes: Sequence[Outcome], peeks: Sequence[Stopped], repetitions: int) -> list[str]:
    """Empty: everything holds. peeks: of so many repetitions too."""
    return [failure for outcome in outcomes for failure in _of(outcome)] + list(_peeks(peeks, repetitions))


def _of(outcome: Outcome) -> Iterator[str]:
    name, count = outcome.trap.name, outcome.repetitions
    if outcome.naive_rejects < FOOLED - _room(FOOLED, count):
        yield f"{name}: the dashboard is fooled in {outcome.naive_rejects:.1%} only"
    if abs(outcome.rejects - LEVEL) > max(ERROR_ROOM, _room(LEVEL, count)):
        yield f"{name}: ours rejects {outcome.rejects:.1%} where there is nothing"
    if outcome.fires is not None and outcome.fires < LEAST_FIRES - _room(1 - LEAST_FIRES, count):
        yield f"{name}: the alarm fires in {outcome.fires:.1%} only"
    if outcome.false_alarms is not None and outcome.false_alarms > MOST_FALSE_ALARMS + _room(MOST_FALSE_ALARMS, count):
        yield f"{name}: the alarm fires on clean data in {outcome.false_alarms:.1%}"
    lifted = outcome.worlds.get("lifted")
    if lifted is not None and lifted.wins < LEAST_WINS - _room(LEAST_WINS, count):
        yield f"{name}: ours finds the lift in {lifted.wins:.1%} only"
    if outcome.trap.refuses and outcome.worlds["tempted"].claims > MOST_FALSE_ALARMS + _room(MOST_FALSE_ALARMS, count):
        yield f"{name}: a lift is claimed in {outcome.worlds['tempted'].claims:.1%}"


def _peeks(peeks: Sequence[Stopped], count: int) -> Iterator[str]:
    for found in peeks:
        if found.rule == NAIVE:
            if found.false_positives < LEAST_NAIVE_PEEK - _room(LEAST_NAIVE_PEEK, count):
                yield f"{found.rule}: errs in {found.false_positives:.1%} only"
            continue
        if found.false_positives > max(MOST_SEQUENTIAL, LEVEL + _room(LEVEL, count)):
            yield f"{found.rule}: errs in {found.false_positives:.1%}"
        if OBRIEN_FLEMING in found.rule and found.power < LEAST_POWER - _room(LEAST_POWER, count):
            yield f"{found.rule}: finds the lift in {found.power:.1%} only"
        if OBRIEN_FLEMING in found.rule and found.mean_stop_days > MOST_MEAN_STOP_DAYS:
            yield f"{found.rule}: stops after {found.mean_stop_days:.1f} days in the mean"


def _room(share: float, count: int) -> float:
    """What chance does to a share of so many repetitions, beyond those that the bounds were set for."""
    return STANDARD_ERRORS * math.sqrt(share * (1 - share) / count) if count < USUAL_REPETITIONS else 0.0
