"""What each assignment earned, from the warehouse: outcomes within their window, by the outcome's kind."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import orjson

from app.contract.policy import Outcome, Policy
from app.errors import CallerError
from app.warehouse.lake import Lake

_ROWS = """SELECT assignment_id, any_value(properties) FROM outcomes
WHERE policy = $policy AND outcome = $role AND within_window GROUP BY assignment_id, outcome_id"""


def rewards(lake: Lake, policy: Policy, role: str) -> Mapping[str, float]:
    """assignment_id -> binary: 1; count: how many; continuous: their sum. Whoever is not in it earned 0."""
    outcome = outcome_of(policy, role)
    earned: dict[str, float] = defaultdict(float)
    for assignment, properties in lake.rows(_ROWS, {"policy": policy.key, "role": role}):
        if outcome.kind == "binary":
            earned[assignment] = 1.0
        else:
            earned[assignment] += 1.0 if outcome.kind == "count" else _number(orjson.loads(properties or "{}"), outcome)
    return earned


def outcome_of(policy: Policy, role: str) -> Outcome:
    """CallerError: the policy has no such outcome, or one that has no mean for each decision."""
    outcomes = policy.outcomes
    known: dict[str, Outcome] = {}
    if outcomes is not None:
        known = {"primary": outcomes.primary} | {f"secondary[{i}]": one for i, one in enumerate(outcomes.secondary)}
    if role not in known:
        raise CallerError(
            f"{policy.key} has no outcome {role!r}", f"Name one of {', '.join(known) or 'none: it has no outcomes'}"
        )
    if known[role].kind == "ratio":
        raise CallerError(
            f"the outcome {role} of {policy.key} is a ratio of sums", "Evaluate a binary, count or continuous outcome"
        )
    return known[role]


def _number(properties: Any, outcome: Outcome) -> float:
    """The path is the policy's, from the event; the row holds the event's properties."""
    found: Any = {"properties": properties}
    for step in (outcome.value or "").split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else 0.0
