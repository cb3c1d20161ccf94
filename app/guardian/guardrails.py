"""What a policy's guardrails watch, as the guardian counts it.

Owns the metrics that no event stands for. Refuses to guess: a metric without an event that is not in the table is named, and
not watched.
"""

from collections.abc import Iterator
from typing import NamedTuple

from app.contract.policy import SCORE_PSI, Policy

# Not shown so long after it was delivered: it will not be.
RENDER_SECONDS = 3_600
LATE = "late_rate"
NOT_RENDERED = "not_rendered_rate"
# Counted by Truelift itself. The first two each person once: decided too late; delivered, and never shown.
BUILT_IN = (LATE, NOT_RENDERED, SCORE_PSI)


class Watched(NamedTuple):
    """role: guardrail[i], as outcome records carry it. bound: how much more often (absolute) than in the control is borne; of
    scores, the PSI that is."""

    role: str
    metric: str
    is_event: bool
    falls: bool
    bound: float


def watched(policy: Policy) -> Iterator[Watched]:
    for number, guardrail in enumerate(policy.guardrails):
        if guardrail.event is not None or guardrail.metric in BUILT_IN:
            falls = guardrail.worse_if == "decrease"
            yield Watched(f"guardrail[{number}]", guardrail.metric, guardrail.event is not None, falls, guardrail.bound)


def unwatched(policy: Policy) -> list[str]:
    """Metrics that have neither an event nor a meaning here."""
    return [one.metric for one in policy.guardrails if one.event is None and one.metric not in BUILT_IN]
