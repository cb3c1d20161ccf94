"""A policy version: the shape of the YAML file in git and of the body in the governance log.

Owns names, types and ranges of single fields. Refuses unknown keys and coerced types ("1" is no integer). Rules that need
more than one field, the catalogue or other policies are in app/governance/rules.py, so that a person gets all of them at once.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, StringConstraints, model_validator

from app.contract.model import BY_MODEL, BY_WEIGHTS, Model
from app.contract.shapes import DottedName, EventName, Key, Path, Permille, Strict, Text, VariantKey

RiskClass = Literal["low", "workflow", "sensitive"]
RISK_CLASSES: tuple[RiskClass, ...] = ("low", "workflow", "sensitive")

Condition = dict[str, JsonValue]

# A timer row lives until it fires or expires; a year is longer than any treatment and shorter than the audit window.
MAX_SECONDS = 365 * 86_400
MAX_VARIANTS = 64
MAX_RAMP_STEPS = 64
MAX_METRICS = 64
DEFAULT_EXPIRES_SECONDS = 1_800


def highest_class(*classes: RiskClass | None) -> RiskClass:
    """The class in force of several declared ones; None declares nothing."""
    return RISK_CLASSES[max((RISK_CLASSES.index(c) for c in classes if c is not None), default=0)]


class Trigger(Strict):
    event: EventName
    decision_point: DottedName


class Layer(Strict):
    """A GrowthBook namespace: the policy takes the units whose namespace hash is in [lo, hi)."""

    name: Key
    range: Annotated[tuple[float, float], Field(strict=False)]


class Action(Strict):
    kind: Key
    slot: Text | None = None
    component: Text | None = None
    payload: dict[str, JsonValue] | None = None

    def wire(self) -> dict[str, Any]:
        """The action as decisions carry it: absent fields stay absent."""
        return self.model_dump(exclude_none=True)


class WaitFor(Strict):
    """The intent signal that a delayed treatment waits for."""

    event: EventName
    where: Condition = Field(default_factory=dict)


class Timing(Strict):
    """A variant's own timing replaces the policy's whole, not field by field."""

    delay_seconds: Annotated[int, Field(ge=0, le=MAX_SECONDS)] = 0
    wait_for: WaitFor | None = None
    expires_seconds: Annotated[int, Field(ge=1, le=MAX_SECONDS)] = DEFAULT_EXPIRES_SECONDS


class Variant(Strict):
    key: VariantKey
    weight: Annotated[float, Field(ge=0, le=1)]
    action: Action
    timing: Timing | None = None


class Outcome(Strict):
    """value: dotted path of the measured number, needed by continuous and ratio."""

    event: EventName
    where: Condition = Field(default_factory=dict)
    within_hours: Annotated[int, Field(ge=1)]
    kind: Literal["binary", "count", "continuous", "ratio"]
    value: Path | None = None


class Outcomes(Strict):
    primary: Outcome
    secondary: Annotated[tuple[Outcome, ...], Field(strict=False, max_length=MAX_METRICS)] = ()


# A guardrail's metric that Truelift counts itself: how far a model's scores of a day are from those of its first week.
SCORE_PSI = "score_psi"


class Guardrail(Strict):
    """event None: a metric that Truelift counts itself, such as not_rendered_rate or score_psi.

    bound: what is borne. Of a share of users, the absolute excess over the control: .02 lets 3 % errors stand against 1 %.
    """

    metric: Key
    event: EventName | None = None
    where: Condition = Field(default_factory=dict)
    worse_if: Literal["increase", "decrease"]
    bound: Annotated[float, Field(ge=0)]
    action: Literal["pause"]


class StopRules(Strict):
    """boundary always_valid: looks at any time after min_days, by a confidence sequence; looks_utc then says the first."""

    min_days: Annotated[int, Field(ge=1)]
    horizon_days: Annotated[int, Field(ge=1)]
    min_exposed_per_arm: Annotated[int, Field(ge=1)]
    looks_utc: Annotated[str, StringConstraints(pattern=r"^daily ([01][0-9]|2[0-3]):[0-5][0-9]$")]
    boundary: Literal["obrien_fleming", "pocock", "lan_demets", "always_valid"]
    alpha: Annotated[float, Field(gt=0, lt=1)]


class Policy(Strict):
    """One version of a policy. `seed` left out is the key, as in GrowthBook; `ramp` left out: one step."""

    key: Key
    kind: Literal["experiment", "personalization"]
    mode: Literal["live", "shadow"] = "live"
    owner: Text
    risk_class: RiskClass = Field(alias="class")
    rollback_flag: Key
    reassign: bool = False
    trigger: Trigger
    unit: Literal["user_id"] = "user_id"
    eligibility: Condition = Field(default_factory=dict)
    holdout: Key | None = None
    layer: Layer | None = None
    seed: Text
    hash_version: Literal[1, 2] = 2
    coverage_permille: Permille
    ramp: Annotated[tuple[Permille, ...], Field(strict=False, min_length=1, max_length=MAX_RAMP_STEPS)]
    variants: Annotated[tuple[Variant, ...], Field(strict=False, min_length=1, max_length=MAX_VARIANTS)]
    fallback_action: Action
    exposure: Literal["on_render", "on_decision"]
    outcomes: Outcomes | None = None
    guardrails: Annotated[tuple[Guardrail, ...], Field(strict=False, max_length=MAX_METRICS)] = ()
    stop_rules: StopRules | None = None
    timing: Timing = Field(default_factory=Timing)
    on_late: Literal["serve", "fallback"] = "fallback"
    model: Model | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_follow_other_fields(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        filled = dict(raw)
        if "key" in raw:
            filled.setdefault("seed", raw["key"])
        if "coverage_permille" in raw:
            filled.setdefault("ramp", [raw["coverage_permille"]])
        return filled

    @property
    def per_decision(self) -> bool:
        """Whether its model draws a variant at each decision, and no unit keeps one."""
        return self.model is not None and self.model.choose is not None and self.model.choose.per_decision

    def timing_of(self, variant_key: str) -> Timing:
        """The variant's own timing, else the policy's."""
        own = next((v.timing for v in self.variants if v.key == variant_key), None)
        return own or self.timing

    def arm_weights(self) -> dict[str, float]:
        """What an experiment compares, with each arm's share, the control first.

        The variants by their weights; where a model chooses them, who chose, since what it drew follows no weights.
        """
        if self.model is None or self.model.choose is None:
            return {variant.key: variant.weight for variant in self.variants}
        against = self.model.choose.against
        return {BY_WEIGHTS: against, BY_MODEL: 1 - against}

    def arms(self) -> list[str]:
        """Those that anybody can be in."""
        return [arm for arm, share in self.arm_weights().items() if share > 0]
