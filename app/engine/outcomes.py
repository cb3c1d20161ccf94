"""Joins a signal with the assignments of its unit: which outcomes of which policies it is. Held-out units too."""

from typing import Any

import orjson

from app.contract.envelope import Signal
from app.contract.ids import outcome_id
from app.contract.journal import OUTCOME_SCHEMA
from app.contract.times import format_us
from app.contract.topics import OUTCOMES
from app.engine.former import is_of_decision
from app.engine.policies import CompiledPolicy, OutcomeRule, Policies
from app.engine.rows import Row
from app.engine.values import Output


def outcome_output(signal: Signal, assignments: dict[str, Row], policies: Policies, at_us: int) -> tuple[str, Output] | None:
    """(outcome id, record) when the signal is an outcome of a policy that the unit was assigned by before it.

    The window counts from the exposure, of a unit not exposed from its assignment. A join out of its window is kept and marked.
    Where variants are drawn at each decision it belongs to the last one before it, and names it.
    """
    joined = [
        _join(policy, rule, assignments[policy.key], at_us)
        for policy, rule in policies.outcomes_by_event.get(signal.event_name, ())
        if policy.key in assignments and rule.matches(signal.event)
    ]
    if not joined:
        return None
    made_id = outcome_id(signal.event_id, signal.unit)
    body = {
        "schema": OUTCOME_SCHEMA,
        "outcome_id": made_id,
        "unit": signal.unit,
        "event_id": signal.event_id,
        "event_name": signal.event_name,
        "ts": format_us(signal.ts_us),
        "properties": signal.properties,
        "assignments": joined,
    }
    return made_id, Output(OUTCOMES, signal.unit.encode(), orjson.dumps(body))


def _join(policy: CompiledPolicy, rule: OutcomeRule, assignment: Row, at_us: int) -> dict[str, Any]:
    exposed_us = assignment["exposed_us"]
    since_us = assignment["assigned_us"] if exposed_us is None else exposed_us
    joined = {
        "policy": policy.key,
        "variant": assignment["variant"],
        "assignment_id": assignment["assignment_id"],
        "rule_version": assignment["rule_version"],
        "phase": assignment["phase"],
        "holdout": assignment["holdout"],
        "exposed": exposed_us is not None,
        "exposed_ts": None if exposed_us is None else format_us(exposed_us),
        "outcome": rule.role,
        "within_window": rule.within_us is None or at_us - since_us <= rule.within_us,
    }
    if is_of_decision(assignment):
        joined["decision_id"] = assignment["decision_id"]
    return joined
