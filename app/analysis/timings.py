"""Timing as a treatment: when each arm acts, in words, and whether that is all in which the arms differ.

Slow may beat instant, so the same rules judge it as any other treatment. Two things follow from it: everybody assigned is
compared, since who leaves earlier never sees the later arm; and a lift is one of the timing only where the actions are alike.
"""

from typing import NamedTuple

from app.analysis.experiment import Experiment
from app.contract.policy import Timing

INSTANT = "instant"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class Timings(NamedTuple):
    """by_arm: when it acts, in words. alone: the arms do the same, at other times."""

    by_arm: dict[str, str]
    alone: bool

    @property
    def said(self) -> str:
        against = " against ".join(f"{arm} {words}" for arm, words in self.by_arm.items())
        others = "" if self.alone else "; the arms differ in what they do as well, so it is no lift of the timing alone"
        return f"timing: {against}{others}"


def timings(found: Experiment) -> Timings | None:
    """None where all arms act at the same time."""
    if not found.is_about_timing:
        return None
    actions = [variant.action for variant in found.policy.variants if variant.weight > 0]
    return Timings(
        {arm: in_words(found.policy.timing_of(arm)) for arm in found.arms}, all(action == actions[0] for action in actions)
    )


def in_words(timing: Timing) -> str:
    """instant | after 3 s | timed to intent (feature_used within 1 d), after 3 s."""
    parts = []
    if timing.wait_for is not None:
        parts.append(f"timed to intent ({timing.wait_for.event} within {_span(timing.expires_seconds)})")
    if timing.delay_seconds:
        parts.append(f"after {_span(timing.delay_seconds)}")
    return ", ".join(parts) or INSTANT


def _span(seconds: int) -> str:
    """In the largest unit that it is a whole number of."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size} {unit}"
