"""The catalogue: event types, decision points, holdouts and every bound that can change a decision, as governed data.

Owns the shape of a `catalogue` record's body and the one that is in force before the first such record. Refuses names that
collide with Truelift's own topics. A setting that can change a decision belongs here, never into the environment: replay
reads the catalogue from the governance log.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from app.contract.mappings import compile_mappings
from app.contract.policy import Action, Policy, RiskClass, highest_class
from app.contract.shapes import DottedName, EventName, Key, Permille, Strict, Text
from app.contract.topics import AUDIT_WINDOW_DAYS, SERVICE_TYPES

DAY_SECONDS = 86_400

_Positive = Annotated[int, Field(ge=1)]
_NotNegative = Annotated[int, Field(ge=0)]


class EventType(Strict):
    budget_ms: Annotated[int, Field(ge=1, le=3_600_000)]
    risk_class: RiskClass = Field(alias="class")
    description: str = ""


class DecisionPoint(Strict):
    """A place that asks for decisions, with an owner and a kill switch of its own ("point:<name>")."""

    owner: Text
    default_action: Action
    risk_class: RiskClass | None = Field(default=None, alias="class")


class Holdout(Strict):
    """A persistent share of all units that the policies naming it never treat."""

    seed: Text
    permille: Permille
    hash_version: Annotated[int, Field(ge=1, le=2)] = 2


class Windows(Strict):
    dedup_window_seconds: Annotated[int, Field(ge=1, le=AUDIT_WINDOW_DAYS * DAY_SECONDS)] = DAY_SECONDS
    identity_pending_seconds: Annotated[int, Field(ge=0, le=3_600)] = 10
    session_seconds: Annotated[int, Field(ge=1, le=DAY_SECONDS)] = 1_800


class Bounds(Strict):
    commit_allowance_ms: _NotNegative = 25
    max_record_bytes: Annotated[int, Field(ge=1_024, le=16 * 1_048_576)] = 1_048_576
    ts_future_seconds: _NotNegative = 300
    ts_past_seconds: _Positive = AUDIT_WINDOW_DAYS * DAY_SECONDS
    timers_per_tick: _Positive = 500
    seen_expired_per_tick: _Positive = 2_000
    units_moved_per_tick: _Positive = 200
    governance_max_stale_seconds: _Positive = 5
    poison_limit: _Positive = 10
    poison_window_seconds: _Positive = 60
    # An edge writes `source` itself: its own name, or that of the SDK protocol that the event came by.
    trusted_sources: Annotated[tuple[Text, ...], Field(strict=False)] = ("edge", "segment", "snowplow", "amplitude")


class WriteKey(Strict):
    """Who may write events through the edge. The key itself is known to its holder alone; 256 random bits need no slow hash.

    public: may be seen by anybody (a browser, an app); server: is a secret. body_bytes None: what the collector takes.
    user_tokens: with this public key the decisions of a user_id are given only to who shows that user's token; an anonymous id
    is a secret of its browser already.
    """

    name: Text
    kind: Literal["public", "server"]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    events_per_second: Annotated[int, Field(ge=1, le=1_000_000)] = 50_000
    body_bytes: Annotated[int, Field(ge=1_024, le=20 * 1_048_576)] | None = None
    user_tokens: bool = False


class Catalogue(Strict):
    """A `catalogue` record replaces the whole catalogue; what it leaves out of windows and bounds has its default."""

    event_types: dict[EventName, EventType]
    decision_points: dict[DottedName, DecisionPoint] = Field(default_factory=dict)
    holdouts: dict[Key, Holdout] = Field(default_factory=dict)
    saved_groups: dict[Text, list[JsonValue]] = Field(default_factory=dict)
    windows: Windows = Field(default_factory=Windows)
    bounds: Bounds = Field(default_factory=Bounds)
    mappings: dict[str, dict[str, str | dict[str, Any] | None]] = Field(default_factory=dict)
    write_keys: dict[Key, WriteKey] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_type_of_our_own_topics(self) -> Self:
        for name in sorted(SERVICE_TYPES & self.event_types.keys()):
            raise ValueError(f"event type {name!r} is a topic of Truelift's own; give the type another name")
        return self

    @model_validator(mode="after")
    def _mappings_compile(self) -> Self:
        _, problems = compile_mappings(self.mappings, self.event_types)
        if problems:
            raise ValueError(f"mappings: {'; '.join(problems)}")
        return self

    def class_in_force(self, policy: Policy) -> RiskClass:
        """The highest of the declared class, the event type's and the decision point's."""
        event = self.event_types.get(policy.trigger.event)
        point = self.decision_points.get(policy.trigger.decision_point)
        declared = [policy.risk_class, *(place.risk_class for place in (event, point) if place is not None)]
        return highest_class(*declared)


def _event_type(budget_ms: int, risk_class: RiskClass, description: str) -> EventType:
    return EventType.model_validate({"budget_ms": budget_ms, "class": risk_class, "description": description})


# In force until the first catalogue record: the product's matrix, and the evaluations that OpenFeature clients ask for.
DEFAULT_CATALOGUE = Catalogue(
    event_types={
        "page_view": _event_type(150, "low", "reorder modules, hero variant, contextual CTA"),
        "feature_used": _event_type(300, "low", "in-product tips, next-best-action"),
        "activation_milestone": _event_type(1000, "workflow", "onboarding step gating, checklist path"),
        "billing_intent": _event_type(400, "sensitive", "upgrade messaging, plan comparison emphasis"),
        "error_or_latency": _event_type(100, "low", "degrade gracefully, swap fallback"),
        "flag_evaluation": _event_type(100, "low", "a flag asked for by an OpenFeature client"),
    },
    decision_points={
        "onboarding.nudge": DecisionPoint(
            owner="growth", default_action=Action(kind="render", slot="onboarding.nudge", component="none")
        )
    },
    holdouts={"global": Holdout(seed="global", permille=100)},
)
