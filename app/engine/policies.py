"""The policies in force at a governance offset, compiled once per change. Refuses nothing: the log did."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from app.contract.catalogue import Catalogue
from app.contract.model import SCORE
from app.contract.policy import Action as ActionBody
from app.contract.policy import Outcome, Policy, Timing
from app.contract.times import HOUR_US, MILLISECOND_US, SECOND_US
from app.engine.bucketing import bucket_ranges
from app.engine.conditions import compile_condition, names_root
from app.engine.models.model import CompiledModel
from app.engine.topology import Topology

Condition = Callable[[Mapping[str, Any]], bool]
EVERYTHING = "*"
RETIRED = "retired"


class PolicyInForce(NamedTuple):
    """A policy as the log leaves it. `versions`: every body that was ever active, so that old variants keep their action."""

    key: str
    state: str  # active | paused | killed | retired
    rule_version: int
    phase: int  # governance sequence number of the current ramp step
    coverage_permille: int
    body: Policy
    versions: Mapping[int, Policy]


class Holdout(NamedTuple):
    name: str
    seed: str
    share: float
    hash_version: int


class OutcomeRule(NamedTuple):
    """role: primary | secondary[i] | guardrail[i]. within_us None: no window."""

    role: str
    event: str
    matches: Condition
    within_us: int | None


class TimingRule(NamedTuple):
    delay_us: int
    expires_us: int
    wait_event: str | None
    wait_matches: Condition | None

    def awaits(self, event_name: str, event: Mapping[str, Any]) -> bool:
        return self.wait_event == event_name and self.wait_matches is not None and self.wait_matches(event)


class Action(NamedTuple):
    """json: the action as every decision carries it."""

    slot: str | None
    json: str


class CompiledPolicy(NamedTuple):
    """halt: None, or (reason, why) of the kill or pause in force, of the policy, its decision point or everything."""

    key: str
    kind: str
    mode: str
    decision_point: str
    trigger_event: str
    rule_version: int
    phase: int
    halt: tuple[str, str] | None
    eligible: Condition
    holdout: Holdout | None
    layer: tuple[str, float, float] | None
    seed: str
    hash_version: int
    coverage: float
    ranges: list[tuple[float, float]]
    variants: tuple[str, ...]
    actions: Mapping[tuple[int, str], Action]  # (rule version, variant) -> action
    timings: Mapping[tuple[int, str], TimingRule]
    fallback_action: Action
    serve_late: bool
    exposed_on_decision: bool
    budget_ms: int | None
    outcomes: tuple[OutcomeRule, ...]
    reassign: bool
    owner: str
    rollback_flag: str
    model: CompiledModel | None
    scored: bool  # eligibility asks for the model's score
    head_json: str  # the fields that every decision of this policy shares
    # Texts of gates that passed, kept for the next decision: a cache of pure results, as large as versions times variants.
    remembered: dict[tuple[Any, Any] | None, str]
    source: PolicyInForce


class Limits(NamedTuple):
    """The catalogue's bounds and windows that every record is held against, in the units of the records."""

    record_bytes: int
    future_us: int
    past_us: int
    dedup_window_us: int
    identity_pending_us: int
    commit_allowance_us: int
    trusted_sources: frozenset[str]


class Policies(NamedTuple):
    """An immutable snapshot. offset: that of the last governance record read, -1 before the first."""

    offset: int
    catalogue: Catalogue
    limits: Limits
    budgets_ms: Mapping[str, int]  # of the signal types
    by_key: dict[str, CompiledPolicy]
    retired: dict[str, CompiledPolicy]  # they decide nothing more; outcomes of those they assigned are still joined
    by_event: Mapping[str, tuple[CompiledPolicy, ...]]
    outcomes_by_event: Mapping[str, tuple[tuple[CompiledPolicy, OutcomeRule], ...]]
    topology: Topology | None = None  # None: the partition count has never changed, and a unit is served where it comes


def compile_policies(
    offset: int,
    catalogue: Catalogue,
    in_force: Iterable[PolicyInForce],
    switches: Mapping[str, str],
    previous: Policies | None = None,
    topology: Topology | None = None,
) -> Policies:
    """The snapshot at `offset`. What did not change since `previous` is taken over compiled.

    switches: "*" or "point:<decision point>" -> killed | paused, for those that are on.
    """
    reusable = previous.by_key | previous.retired if previous is not None and previous.catalogue is catalogue else {}
    all_keys: dict[str, CompiledPolicy] = {}
    for entry in sorted(in_force, key=lambda entry: entry.key):
        halt = _halt(entry, switches)
        known = reusable.get(entry.key)
        if known is not None and known.source == entry:
            all_keys[entry.key] = known._replace(halt=halt, remembered={})
        else:
            all_keys[entry.key] = _compile(entry, catalogue, halt)
    by_key = {key: policy for key, policy in all_keys.items() if policy.source.state != RETIRED}
    retired = {key: policy for key, policy in all_keys.items() if policy.source.state == RETIRED}
    by_event: dict[str, tuple[CompiledPolicy, ...]] = {}
    outcomes: dict[str, tuple[tuple[CompiledPolicy, OutcomeRule], ...]] = {}
    for policy in by_key.values():
        by_event[policy.trigger_event] = (*by_event.get(policy.trigger_event, ()), policy)
    for policy in all_keys.values():
        for rule in policy.outcomes:
            outcomes[rule.event] = (*outcomes.get(rule.event, ()), (policy, rule))
    budgets_ms = {name: event_type.budget_ms for name, event_type in catalogue.event_types.items()}
    return Policies(offset, catalogue, _limits(catalogue), budgets_ms, by_key, retired, by_event, outcomes, topology)


def _limits(catalogue: Catalogue) -> Limits:
    bounds = catalogue.bounds
    return Limits(
        bounds.max_record_bytes,
        bounds.ts_future_seconds * SECOND_US,
        bounds.ts_past_seconds * SECOND_US,
        catalogue.windows.dedup_window_seconds * SECOND_US,
        catalogue.windows.identity_pending_seconds * SECOND_US,
        bounds.commit_allowance_ms * MILLISECOND_US,
        frozenset(bounds.trusted_sources),
    )


def _halt(entry: PolicyInForce, switches: Mapping[str, str]) -> tuple[str, str] | None:
    """The strictest of what is switched off; killed is stricter than paused."""
    point = f"point:{entry.body.trigger.decision_point}"
    stops = {
        f"policy {entry.key}": entry.state,
        f"decision {point}": switches.get(point),
        "everything": switches.get(EVERYTHING),
    }
    for reason in ("killed", "paused"):
        for what, state in stops.items():
            if state == reason:
                return reason, f"{what} is {reason}"
    return None


def _compile(entry: PolicyInForce, catalogue: Catalogue, halt: tuple[str, str] | None) -> CompiledPolicy:
    body, groups = entry.body, catalogue.saved_groups
    event_type = catalogue.event_types.get(body.trigger.event)
    holdout = None
    named = None if body.holdout is None else catalogue.holdouts.get(body.holdout)
    # Only a retired policy can name a holdout that the catalogue no longer has; it asks for none.
    if body.holdout is not None and named is not None:
        holdout = Holdout(body.holdout, named.seed, named.permille / 1000, named.hash_version)
    versions = {**entry.versions, entry.rule_version: body}
    coverage = entry.coverage_permille / 1000
    return CompiledPolicy(
        key=entry.key,
        kind=body.kind,
        mode=body.mode,
        decision_point=body.trigger.decision_point,
        trigger_event=body.trigger.event,
        rule_version=entry.rule_version,
        phase=entry.phase,
        halt=halt,
        eligible=_condition(body.eligibility, groups),
        holdout=holdout,
        layer=None if body.layer is None else (body.layer.name, *body.layer.range),
        seed=body.seed,
        hash_version=body.hash_version,
        coverage=coverage,
        ranges=bucket_ranges(len(body.variants), coverage, [variant.weight for variant in body.variants]),
        variants=tuple(variant.key for variant in body.variants),
        actions={
            (number, variant.key): _action(variant.action) for number, old in versions.items() for variant in old.variants
        },
        timings={
            (number, variant.key): _timing(old.timing_of(variant.key), groups)
            for number, old in versions.items()
            for variant in old.variants
        },
        fallback_action=_action(body.fallback_action),
        serve_late=body.on_late == "serve",
        exposed_on_decision=body.exposure == "on_decision",
        budget_ms=None if event_type is None else event_type.budget_ms,
        outcomes=tuple(_outcome_rules(body, groups)),
        reassign=body.reassign,
        owner=body.owner,
        rollback_flag=body.rollback_flag,
        model=_model(body),
        scored=body.model is not None and names_root(body.eligibility, SCORE),
        head_json=f'"decision_point":"{body.trigger.decision_point}","policy":"{entry.key}",'
        f'"kind":"{body.kind}","mode":"{body.mode}",',
        remembered={},
        source=entry,
    )


def _action(action: ActionBody) -> Action:
    return Action(action.slot, orjson.dumps(action.wire()).decode())


def _model(body: Policy) -> CompiledModel | None:
    if body.model is None:
        return None
    return CompiledModel(body.model, [variant.key for variant in body.variants], [variant.weight for variant in body.variants])


def _condition(condition: Mapping[str, Any], groups: Mapping[str, Any]) -> Condition:
    """Leniently: what is in the log was checked strictly before it was signed, and a worker must take it as it is."""
    return compile_condition(condition, groups, strict=False)


def _timing(timing: Timing, groups: Mapping[str, Any]) -> TimingRule:
    wait = timing.wait_for
    return TimingRule(
        timing.delay_seconds * SECOND_US,
        timing.expires_seconds * SECOND_US,
        None if wait is None else wait.event,
        None if wait is None else _condition(wait.where, groups),
    )


def _outcome_rules(body: Policy, groups: Mapping[str, Any]) -> Iterable[OutcomeRule]:
    """A guardrail without an event is counted from deliveries and exposures, not from outcome events."""
    if body.outcomes is not None:
        yield _outcome_rule("primary", body.outcomes.primary, groups)
        for i, outcome in enumerate(body.outcomes.secondary):
            yield _outcome_rule(f"secondary[{i}]", outcome, groups)
    for i, guardrail in enumerate(body.guardrails):
        if guardrail.event is not None:
            yield OutcomeRule(f"guardrail[{i}]", guardrail.event, _condition(guardrail.where, groups), None)


def _outcome_rule(role: str, outcome: Outcome, groups: Mapping[str, Any]) -> OutcomeRule:
    return OutcomeRule(role, outcome.event, _condition(outcome.where, groups), outcome.within_hours * HOUR_US)
