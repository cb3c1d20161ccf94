"""One policy's decision for one unit: runs the gates, keeps what they found in the unit's rows, says what is journalled."""

from app.contract.ids import assignment_id, decision_id, own_assignment_id, timer_id
from app.contract.times import format_us
from app.engine.exposures import decided_exposure
from app.engine.former import OF_DECISION, keep_shown
from app.engine.gates import DUE, TRIGGERED, Draft, Occasion, Stop, run_gates
from app.engine.policies import CompiledPolicy
from app.engine.rows import Row
from app.engine.unit import UnitRows

# Reasons of a decision that acts with the unit's variant. A fallback acts too, but shows no variant.
SERVING = frozenset({"assigned", "sticky", "non_experimental"})
FALLING_BACK = frozenset({"late_fallback", "model_unavailable"})
_JSON_BOOL = ("false", "true")
_NO_TIMERS = '"timers_set":[],"timers_cancelled":[]'


def decide_policy(policy: CompiledPolicy, occasion: Occasion, rows: UnitRows, cause: str) -> str:
    """The decision of `policy` on `occasion` as JSON; assignment, holdout, timers and exposure are left in `rows`."""
    existing = _binding(policy, rows.assignments.get(policy.key))
    pending = rows.pending.get(policy.key) if rows.pending else None
    held = rows.holdouts.get(policy.holdout.name) if policy.holdout is not None else None
    made_id = decision_id(occasion.topic, occasion.partition, occasion.offset, policy.key)
    draft = Draft(policy, occasion, cause, existing, held, pending, made_id)
    stop, gates = run_gates(draft)
    reason = _reason(draft, stop)
    bound = _bind(draft, rows, made_id)
    action = "null"
    if reason in SERVING and bound is not None:
        action = policy.actions[bound["rule_version"], bound["variant"]].json
        if bound["exposed_us"] is None:
            _serve(policy, occasion, rows, bound, made_id)
    elif reason in FALLING_BACK:
        action = policy.fallback_action.json
    timers = _NO_TIMERS if pending is None and draft.new_timer is None else _timers(draft, rows, made_id)
    model = "" if draft.judgement is None else f'"model":{draft.judgement.as_json(draft.chosen_by)},'
    if bound is None:
        version, phase, assignment = policy.rule_version, policy.phase, "null"
    else:
        version, phase = bound["rule_version"], bound["phase"]
        assignment = f'"{bound["assignment_id"]}"' if draft.assigned or draft.holdout else "null"
    return (
        f'{{"decision_id":"{made_id}",{policy.head_json}"rule_version":{version},"phase":{phase},'
        f'"active_rule_version":{policy.rule_version},'
        f'"eligible":{_JSON_BOOL[draft.eligible]},"holdout":{_JSON_BOOL[draft.holdout]},"assigned":{_JSON_BOOL[draft.assigned]},'
        f'"variant":{_quoted(draft.variant if draft.assigned else None)},'
        f'"bucket":{"null" if draft.bucket is None else repr(draft.bucket)},"assignment_id":{assignment},'
        f'"sticky":{_JSON_BOOL[draft.assigned and draft.existing is not None]},"action":{action},'
        f'"late":{_JSON_BOOL[draft.late]},"reason":"{reason}",{timers},{model}"gates":[{gates}]}}'
    )


def _quoted(text: str | None) -> str:
    """A name of narrow charset, which needs no escaping."""
    return "null" if text is None else f'"{text}"'


def _binding(policy: CompiledPolicy, recorded: Row | None) -> Row | None:
    """The recorded assignment, unless the policy moves its unit or it was drawn for another decision alone."""
    if recorded is None or OF_DECISION in recorded:
        return None
    return None if policy.reassign and _moves(policy, recorded) else recorded


def _moves(policy: CompiledPolicy, recorded: Row) -> bool:
    """A version that says `reassign` moves a unit, but never out of its holdout. No other version may."""
    return bool(recorded["rule_version"] < policy.rule_version and not recorded["holdout"])


def _reason(draft: Draft, stop: Stop | None) -> str:
    """A stop's own reason counts first; shadow and personalization then tell why a passed decision is no experiment's."""
    if stop is not None and not (draft.policy.mode == "shadow" and stop.reason == "late_fallback"):
        return stop.reason
    if draft.policy.mode == "shadow":
        return "shadow"
    if draft.policy.kind == "personalization":
        return "non_experimental"
    return "assigned" if draft.existing is None else "sticky"


def _bind(draft: Draft, rows: UnitRows, made_id: str) -> Row | None:
    """The assignment that holds now; a unit just assigned or held out gets one, with version and phase frozen in it."""
    policy = draft.policy
    if policy.holdout is not None and draft.held is not None:
        rows.hold(policy.holdout.name, draft.held)
    if draft.existing is not None or not (draft.assigned or draft.holdout):
        return draft.existing
    for_one = draft.assigned and policy.model is not None and policy.model.is_per_decision
    unit = draft.occasion.unit
    bound = {
        "assignment_id": own_assignment_id(made_id) if for_one else assignment_id(unit, policy.key, policy.rule_version),
        "rule_version": policy.rule_version,
        "phase": policy.phase,
        "variant": draft.variant if draft.assigned else None,
        "holdout": draft.holdout,
        "bucket": draft.bucket,
        "assigned_us": draft.occasion.appended_us,
        "decision_id": made_id,
        "exposed_us": None,
        "served": None,
    }
    if for_one:
        bound[OF_DECISION] = True
    if not policy.exposed_on_decision:
        keep_shown(rows, policy.key)
    rows.assign(policy.key, bound)
    return bound


def _serve(policy: CompiledPolicy, occasion: Occasion, rows: UnitRows, bound: Row, made_id: str) -> None:
    """Note the decision that last served the variant, for an acknowledgement to be measured against.

    Law of exposure: without a render only where the policy says `exposure: on_decision`, and once an assignment.
    """
    rows.serve(
        bound,
        {
            "decision_id": made_id,
            "signal_us": occasion.signal_us,
            "base_us": occasion.base_us,
            "decided_us": occasion.now_us,
            "budget_ms": policy.budget_ms,
        },
    )
    if policy.exposed_on_decision:
        rows.expose(bound, occasion.appended_us, *decided_exposure(occasion, policy, bound))


def _timers(draft: Draft, rows: UnitRows, made_id: str) -> str:
    """The fields timers_set and timers_cancelled.

    A timer is spent when it fires or when what it waited for has come; another trigger leaves it waiting.
    """
    policy, pending = draft.policy, draft.pending
    cancelled = ""
    if pending is not None and draft.cause != TRIGGERED:
        rows.drop_pending(policy.key)
        if draft.cause != DUE:
            rows.drop_timer(pending["due_us"], pending["timer_id"])
            cancelled = f'"{pending["timer_id"]}"'
    if draft.new_timer is None:
        return f'"timers_set":[],"timers_cancelled":[{cancelled}]'
    row = _waiting(draft, made_id)
    rows.set_timer(policy.key, row, draft.occasion.attributes["event"])
    made = f'{{"timer_id":"{row["timer_id"]}","due_ts":"{format_us(row["due_us"])}"}}'
    return f'"timers_set":[{made}],"timers_cancelled":[{cancelled}]'


def _waiting(draft: Draft, made_id: str) -> Row:
    """What the unit waits for. After expires_us a delayed treatment that could not fire in time is not worth giving."""
    assert draft.new_timer is not None
    kind, after_us = draft.new_timer
    rule_version = draft.policy.rule_version if draft.existing is None else draft.existing["rule_version"]
    rule = draft.policy.timings[rule_version, draft.variant or ""]
    now_us = draft.occasion.appended_us
    return {
        "timer_id": timer_id(made_id, 0),
        "due_us": now_us + after_us,
        "kind": kind,
        "expires_us": now_us + rule.expires_us,
        "decision_id": made_id,
        "rule_version": rule_version,
        "variant": draft.variant,
    }
