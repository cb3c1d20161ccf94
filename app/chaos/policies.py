"""The policies that a drill's workers run, and its catalogue: one policy of each way through the engine."""

from typing import Any

from app.contract.catalogue import DEFAULT_CATALOGUE, Catalogue, DecisionPoint
from app.contract.policy import Action

NUDGE, TIPS, LATER, SWAP, HERO = "onboarding_nudge_v1", "tips", "tips_later", "swap", "hero"
POINTS = ("tips.next", "errors.swap", "hero.variant")
# Time enough to treat after an outage of seconds: what is late is so by its own received_ts.
BUDGET_MS = 60_000


def catalogue(**changes: Any) -> Catalogue:
    """The product's, with the decision points of these policies."""
    points = {
        name: DecisionPoint(owner="growth", default_action=Action(kind="render", slot=name, component="none"))
        for name in POINTS
    }
    types = {
        name: event_type.model_copy(update={"budget_ms": BUDGET_MS})
        for name, event_type in DEFAULT_CATALOGUE.event_types.items()
    }
    update = {"event_types": types, "decision_points": DEFAULT_CATALOGUE.decision_points | points}
    return DEFAULT_CATALOGUE.model_copy(update=update | changes)


def outcome(event: str, name: str, kind: str) -> dict[str, Any]:
    return {"event": event, "where": {"properties.name": name}, "within_hours": 168, "kind": kind}


def policy(key: str, event: str, point: str, **changes: Any) -> dict[str, Any]:
    """For everyone who is not held out, A control and B, half and half."""
    action = {"kind": "render", "slot": point, "component": "none"}
    body: dict[str, Any] = {
        "key": key, "kind": "experiment", "mode": "live", "owner": "growth", "class": "low", "rollback_flag": f"ff_{key}",
        "trigger": {"event": event, "decision_point": point}, "unit": "user_id", "eligibility": {}, "holdout": "global",
        "layer": None, "seed": key, "hash_version": 2, "coverage_permille": 1000, "ramp": [1000],
        "variants": [
            {"key": "A", "weight": 0.5, "action": action}, {"key": "B", "weight": 0.5, "action": action | {"component": key}},
        ],
        "fallback_action": action, "exposure": "on_render",
        "outcomes": {
            "primary": outcome("activation_milestone", "project_created", "binary"),
            "secondary": [
                outcome("feature_used", "invite_teammate", "binary"), outcome("billing_intent", "plan_compare_opened", "count"),
            ],
        },
        "guardrails": [
            {"metric": "error_rate", "event": "error_or_latency", "worse_if": "increase", "bound": 0.02, "action": "pause"},
        ],
        "timing": {"delay_seconds": 0, "expires_seconds": 1800}, "on_late": "fallback",
    }  # fmt: skip
    return body | changes


def nudge(**changes: Any) -> dict[str, Any]:
    """An onboarding nudge for those without a project."""
    eligibility = {
        "context.route": {"$regex": "^/app/onboarding"},
        "user.milestones": {"$not": {"$elemMatch": {"$eq": "project_created"}}},
    }
    layer = {"name": "onboarding", "range": [0.0, 1.0]}
    return policy(NUDGE, "page_view", "onboarding.nudge", eligibility=eligibility, layer=layer) | changes


def bodies() -> list[dict[str, Any]]:
    """At once, exposed by decision, delayed, waiting, shadow."""
    return [
        nudge(),
        policy(TIPS, "feature_used", "tips.next", exposure="on_decision", layer={"name": "tips", "range": [0.0, 0.5]}),
        policy(
            LATER, "feature_used", "tips.next",
            layer={"name": "tips", "range": [0.5, 1.0]}, timing={"delay_seconds": 1, "expires_seconds": 600},
        ),
        policy(
            SWAP, "error_or_latency", "errors.swap",
            timing={"wait_for": {"event": "feature_used"}, "expires_seconds": 3},
        ),
        policy(HERO, "page_view", "hero.variant", mode="shadow"),
    ]  # fmt: skip
