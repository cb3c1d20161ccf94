"""Exposures: made from a render acknowledgement that matches the recorded assignment, or by a policy that says `on_decision`.

Refuses what was never decided, never served, or served as another variant: nothing is inferred.
"""

from app.contract.envelope import Rejection, Signal, shown
from app.contract.ids import exposure_id, uuid_of
from app.contract.times import format_us
from app.engine.gates import Occasion
from app.engine.policies import CompiledPolicy
from app.engine.record import Json, exposure_output
from app.engine.rows import Row
from app.engine.values import Output

UNKNOWN_ASSIGNMENT = "unknown_assignment"
NOT_RENDERED: Json = {"rendered_ts": None, "decision_to_render_ms": None}


def decided_exposure(occasion: Occasion, policy: CompiledPolicy, assignment: Row) -> tuple[str, Output]:
    """(exposure id, record) of a decision whose policy counts the decision itself as the exposure."""
    made_id = exposure_id(assignment["assignment_id"])
    event = occasion.attributes["event"]
    envelope = {
        "event_name": "experiment_exposure",
        "event_id": uuid_of(f"{made_id}\x1fevent"),
        "user_id": event.get("user_id"),
        "anonymous_id": event.get("anonymous_id"),
        "session_id": event.get("session_id"),
        "ts": format_us(occasion.appended_us),
        "properties": {},
        "context": event.get("context") or {},
        "experiment": {
            "key": policy.key,
            "variant": assignment["variant"],
            "assignment_id": assignment["assignment_id"],
            "rule_version": assignment["rule_version"],
        },
        "governance": {"owner": policy.owner, "rollback_flag": policy.rollback_flag},
    }
    surface = policy.actions[assignment["rule_version"], assignment["variant"]].slot
    return made_id, exposure_output(
        envelope,
        occasion.unit,
        assignment,
        assignment["served"],
        exposed_by="decision",
        surface=surface,
        rendered=NOT_RENDERED,
    )


def acknowledged_exposure(signal: Signal, assignment: Row) -> tuple[str, Output]:
    """(exposure id, record) of an acknowledgement that has been matched with its assignment."""
    properties = signal.properties
    elapsed = properties.get("decision_to_render_ms")
    rendered = {
        "rendered_ts": properties.get("rendered_ts"),
        "decision_to_render_ms": elapsed if isinstance(elapsed, (int, float)) else None,
    }
    output = exposure_output(
        signal.event,
        signal.unit,
        assignment,
        assignment["served"],
        exposed_by="render",
        surface=properties.get("surface"),
        rendered=rendered,
    )
    return exposure_id(assignment["assignment_id"]), output


def mismatch(signal: Signal, assignment: Row | None) -> Rejection | None:
    """Why the acknowledgement does not belong to a variant that this unit was really served; None when it does."""
    said = signal.event["experiment"]
    if assignment is None or said["assignment_id"] != assignment["assignment_id"]:
        return Rejection(
            UNKNOWN_ASSIGNMENT,
            f"assignment {said['assignment_id']} of policy {said['key']} is not this unit's; "
            "acknowledge with the assignment_id that came with the unit's decision, keyed by that unit",
        )
    if assignment["holdout"] or said["variant"] != assignment["variant"]:
        return Rejection(
            "variant_mismatch",
            f"variant {shown(said['variant'])} was acknowledged, {shown(assignment['variant'])} was assigned; "
            "render what was decided",
        )
    if said["rule_version"] != assignment["rule_version"]:
        return Rejection(
            "rule_version_mismatch",
            f"rule_version {said['rule_version']} was acknowledged, {assignment['rule_version']} was assigned; "
            "acknowledge with the rule_version that came with the decision",
        )
    if assignment["exposed_us"] is None and assignment["served"] is None:
        return Rejection(
            "never_served",
            f"assignment {said['assignment_id']} was never served its variant (late, shadow, delayed or stopped); "
            "acknowledge only what was rendered by a decision's action",
        )
    return None
