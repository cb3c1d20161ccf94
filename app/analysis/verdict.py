"""The verdict in words. A table of rules: the first that fits is said."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from app.analysis.effect import Effect
from app.analysis.proportions import Interval

NOT_YET = "not yet"
INCONCLUSIVE = "inconclusive"
NO_DIFFERENCE = "no difference"
STOPPED = "stopped by guardrail"
INVALID = "invalid"  # and the alarm that says so
NO_ESTIMATE = "no estimate"
# Relative. An interval that leaves no more than this room, and holds no difference, says that there is none worth having.
MARGIN = 0.1


class Case(NamedTuple):
    """One comparison. rejects: p is beyond what the look asks for, with all other questions of its family."""

    arm: str
    effect: Effect | None
    rejects: bool
    lower_is_better: bool
    margin: float

    @property
    def interval(self) -> Interval | None:
        """Relative where there is one, since that is what is claimed."""
        return None if self.effect is None else self.effect.relative_ci or self.effect.difference_ci

    @property
    def direction(self) -> Literal[-1, 0, 1]:
        """Which side of nothing the interval is on."""
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return 0
        return 1 if self.interval[0] > 0 else -1

    @property
    def is_narrow(self) -> bool:
        ci = None if self.effect is None else self.effect.relative_ci
        return ci is not None and -self.margin <= ci[0] and ci[1] <= self.margin

    def amount(self) -> str:
        assert self.interval is not None
        low, high = sorted(abs(end) for end in self.interval)
        if self.effect is not None and self.effect.relative_ci is not None:
            return f"{low:.1%} to {high:.1%}".replace("%", " %")
        return f"{low:.4g} to {high:.4g}"

    def better_or_worse(self) -> str:
        return "better" if (self.direction > 0) != self.lower_is_better else "worse"


_RULES: tuple[tuple[Callable[[Case], bool], Callable[[Case], str]], ...] = (
    (lambda case: case.interval is None, lambda _: NO_ESTIMATE),
    (
        lambda case: case.rejects and case.direction != 0,
        lambda case: f"{case.arm} {case.better_or_worse()} by {case.amount()}",
    ),
    (lambda case: case.is_narrow, lambda case: f"{NO_DIFFERENCE} beyond {case.margin:.0%}".replace("%", " %")),
    (lambda _: True, lambda _: INCONCLUSIVE),
)


def verdict(case: Case) -> str:
    return next(say(case) for fits, say in _RULES if fits(case))
