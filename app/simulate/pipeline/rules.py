"""The governance of a simulation: its catalogue, and the policy of a trap, as it would be in force."""

from typing import Any

from app.contract.catalogue import DEFAULT_CATALOGUE, Catalogue, DecisionPoint, EventType
from app.simulate.trap import Trap

TRIGGER_EVENT, PRIMARY_EVENT, INTENT_EVENT = "page_view", "signup", "feature_used"
# No decision of a small machine is late by chance; who is late in a trap is so by its own received_ts.
BUDGET_MS = 60_000
LATE_SECONDS = 120


def catalogue(trap: Trap) -> Catalogue:
    """The product's, with what the traps' policies name."""
    policy = trap.found.policy
    point = {policy.trigger.decision_point: DecisionPoint(owner=policy.owner, default_action=policy.fallback_action)}
    types = {
        name: DEFAULT_CATALOGUE.event_types[name].model_copy(update={"budget_ms": BUDGET_MS})
        for name in (TRIGGER_EVENT, INTENT_EVENT)
    }
    signup = EventType.model_validate({"budget_ms": BUDGET_MS, "class": "low", "description": "what the traps count"})
    update = {
        "event_types": DEFAULT_CATALOGUE.event_types | types | {PRIMARY_EVENT: signup},
        "decision_points": DEFAULT_CATALOGUE.decision_points | point,
    }
    return DEFAULT_CATALOGUE.model_copy(update=update)


def bodies(trap: Trap, key: str) -> list[dict[str, Any]]:
    """A version for each step of the ramp, in order."""
    body = trap.found.policy.model_dump(mode="json", by_alias=True, exclude_none=True)
    return [
        body | {"key": key, "seed": key, "variants": [v | {"weight": weights[v["key"]]} for v in body["variants"]]}
        for _, weights in sorted(trap.found.weights.items())
    ]
