"""One policy's decision for one unit: runs the gates, and says what the journal carries and what becomes of the unit's row."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.contract.ids import assignment_id, decision_id, timer_id
from app.contract.times import format_us
from app.engine.gates import DUE, INTENT, Draft, Stop, run_gates
from app.engine.policies import CompiledPolicy
from app.engine.rows import Row

Json = dict[str, Any]


class Occasion(NamedTuple):
    """What all decisions of one record share. base_us: where lateness counts from; signal_us: the client's own time."""

    topic: str
    partition: int
    offset: int
    unit: str
    attributes: Mapping[str, Any]
    appended_us: int
    base_us: int
    signal_us: int | None
    now_us: int
    stale: bool
    allowance_us: int


class Timer(NamedTuple):
    """A row of the timer table to be set or cancelled."""

    timer_id: str
    due_us: int
    decision_id: str


class Decision(NamedTuple):
    """journal: the entry of `decisions`. assignment: its new row entry, None when unchanged. held: by the named holdout."""

    journal: Json
    policy: CompiledPolicy
    assignment: Row | None
    served: bool
    held: bool | None
    timers_set: tuple[Timer, ...]
    timers_cancelled: tuple[Timer, ...]
    pending: Row | None


def decide_policy(policy: CompiledPolicy, occasion: Occasion, row: Row, cause: str) -> Decision:
    """The decision of `policy` on `occasion`, for the unit whose assignments row is `row`."""
    recorded = row.get("assignments", {}).get(policy.key)
    pending = row.get("pending", {}).get(policy.key)
    draft = Draft(
        policy,
        occasion.unit,
        occasion.attributes,
        None if _moved_by_version(policy, recorded) else recorded,
        row.get("holdouts", {}).get(policy.holdout.name) if policy.holdout is not None else None,
        pending,
        cause,
        occasion.appended_us,
        occasion.now_us - occasion.base_us,
        None if policy.budget_ms is None else policy.budget_ms * 1000,
        occasion.allowance_us,
        occasion.stale,
    )
    stop, gates = run_gates(draft)
    reason = _reason(draft, stop)
    made_id = decision_id(occasion.topic, occasion.partition, occasion.offset, policy.key)
    assignment = _assignment(draft, occasion, made_id)
    bound = assignment or draft.existing
    action = _action(draft, reason, bound)
    served = action is not None and reason != "late_fallback"
    if served and bound is not None and bound["exposed_us"] is None:
        assignment = bound = {**bound, "served": _served(occasion, made_id, policy)}
    timers_set = _timers_set(draft, occasion, made_id)
    journal = {
        "decision_id": made_id,
        "decision_point": policy.decision_point,
        "policy": policy.key,
        "kind": policy.kind,
        "mode": policy.mode,
        "rule_version": policy.rule_version if bound is None else bound["rule_version"],
        "phase": policy.phase if bound is None else bound["phase"],
        "active_rule_version": policy.rule_version,
        "eligible": draft.eligible,
        "holdout": draft.holdout,
        "assigned": draft.assigned,
        "variant": draft.variant if draft.assigned else None,
        "bucket": draft.bucket,
        "assignment_id": None if bound is None or not (draft.assigned or draft.holdout) else bound["assignment_id"],
        "sticky": draft.assigned and draft.existing is not None,
        "action": action,
        "late": draft.late,
        "reason": reason,
        "timers_set": [{"timer_id": timer.timer_id, "due_ts": format_us(timer.due_us)} for timer in timers_set],
        "timers_cancelled": [],
        "gates": gates,
    }
    # A timer is spent when it fires or when what it waited for has come; a trigger leaves it waiting.
    spent = pending if pending is not None and cause in (DUE, INTENT) else None
    cancelled = () if spent is None or cause == DUE else (Timer(spent["timer_id"], spent["due_us"], spent["decision_id"]),)
    journal["timers_cancelled"] = [timer.timer_id for timer in cancelled]
    kept = None if spent is not None else pending
    return Decision(
        journal,
        policy,
        assignment,
        served,
        draft.held,
        timers_set,
        cancelled,
        _pending(draft, timers_set[0], occasion, made_id) if timers_set else kept,
    )


def _moved_by_version(policy: CompiledPolicy, recorded: Row | None) -> bool:
    """Only a version that says `reassign` may move a unit, and it never moves one out of its holdout."""
    return (
        recorded is not None and policy.reassign and recorded["rule_version"] < policy.rule_version and not recorded["holdout"]
    )


def _reason(draft: Draft, stop: Stop | None) -> str:
    """A stop's own reason counts first; shadow and personalization then tell why a passed decision is no experiment's."""
    if stop is not None and not (draft.policy.mode == "shadow" and stop.reason == "late_fallback"):
        return stop.reason
    if draft.policy.mode == "shadow":
        return "shadow"
    if draft.policy.kind == "personalization":
        return "non_experimental"
    return "sticky" if draft.existing is not None else "assigned"


def _assignment(draft: Draft, occasion: Occasion, made_id: str) -> Row | None:
    """A new row entry when the unit has just been assigned or held out; both freeze version and phase."""
    if draft.existing is not None or not (draft.assigned or draft.holdout):
        return None
    policy = draft.policy
    return {
        "assignment_id": assignment_id(occasion.unit, policy.key, policy.rule_version),
        "rule_version": policy.rule_version,
        "phase": policy.phase,
        "variant": draft.variant if draft.assigned else None,
        "holdout": draft.holdout,
        "bucket": draft.bucket,
        "assigned_us": occasion.appended_us,
        "decision_id": made_id,
        "exposed_us": None,
        "served": None,
    }


def _action(draft: Draft, reason: str, bound: Row | None) -> Json | None:
    if reason == "late_fallback":
        return draft.policy.fallback_action
    if reason not in ("assigned", "sticky", "non_experimental") or bound is None:
        return None
    return draft.policy.actions[bound["rule_version"], bound["variant"]]


def _served(occasion: Occasion, made_id: str, policy: CompiledPolicy) -> Row:
    """What an acknowledgement of this assignment will be measured against: the decision that last served the variant."""
    return {
        "decision_id": made_id,
        "signal_us": occasion.signal_us,
        "base_us": occasion.base_us,
        "decided_us": occasion.now_us,
        "budget_ms": policy.budget_ms,
    }


def _timers_set(draft: Draft, occasion: Occasion, made_id: str) -> tuple[Timer, ...]:
    if draft.new_timer is None:
        return ()
    _, after_us = draft.new_timer
    return (Timer(timer_id(made_id, 0), occasion.appended_us + after_us, made_id),)


def _pending(draft: Draft, timer: Timer, occasion: Occasion, made_id: str) -> Row:
    """What the unit waits for. After expires_us a delayed treatment that could not fire in time is not worth giving."""
    assert draft.new_timer is not None
    rule_version = draft.existing["rule_version"] if draft.existing is not None else draft.policy.rule_version
    rule = draft.policy.timings[rule_version, draft.variant or ""]
    return {
        "timer_id": timer.timer_id,
        "due_us": timer.due_us,
        "kind": draft.new_timer[0],
        "expires_us": occasion.appended_us + rule.expires_us,
        "decision_id": made_id,
        "rule_version": rule_version,
        "variant": draft.variant,
    }
