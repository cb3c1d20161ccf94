"""The policies that a worker runs in these tests: one of each way through the engine."""

from pathlib import Path
from typing import Any

import yaml

from app.contract.catalogue import DEFAULT_CATALOGUE, Catalogue, DecisionPoint
from app.contract.policy import Action

EXAMPLE = Path(__file__).parents[1] / "data" / "onboarding_nudge_v1.yaml"
NUDGE, TIPS, LATER, SWAP, HERO = "onboarding_nudge_v1", "tips", "tips_later", "swap", "hero"
BUDGET_MS = 60_000
POINTS = ("tips.next", "errors.swap", "hero.variant")


def catalogue(**changes: Any) -> Catalogue:
    """The product's, with the decision points of these tests and time enough to treat on a busy machine."""
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


def nudge(**changes: Any) -> dict[str, Any]:
    """The worked example, for everyone who is eligible and not held out."""
    example: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    return example | {"coverage_permille": 1000, "ramp": [1000]} | changes


def policy(key: str, event: str, point: str, **changes: Any) -> dict[str, Any]:
    """Like the worked example, on another event and place."""
    action = {"kind": "render", "slot": point, "component": "none"}
    variants = [
        {"key": "A", "weight": 0.5, "action": action},
        {"key": "B", "weight": 0.5, "action": action | {"component": key}},
    ]
    return nudge(
        key=key,
        seed=key,
        rollback_flag=f"ff_{key}",
        trigger={"event": event, "decision_point": point},
        eligibility={},
        variants=variants,
        fallback_action=action,
        layer=None,
    ) | changes  # fmt: skip


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
