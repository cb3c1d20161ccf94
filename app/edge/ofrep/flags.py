"""Which flags there are, and what an evaluation says of each. No I/O.

Two kinds. A policy that `flag_evaluation` triggers is a flag of its key: its value is what the variant's action carries. The
`rollback_flag` of every policy in force is a boolean flag: true as long as all policies that name it may treat.
Refuses to make up a value: where a decision carries none, the answer has none, and the client takes its code's default.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

from app.contract.topics import FLAG_EVENT
from app.edge.rules import KnownPolicy, Rules
from app.edge.served import Served, ServedDecision

EVENT: Final = FLAG_EVENT

Reason = Literal["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN"]
# The journal's reason -> OpenFeature's. What is missing here is UNKNOWN: late, stale, waiting.
REASONS: Mapping[str, Reason] = {
    "assigned": "SPLIT",
    "sticky": "SPLIT",
    "holdout": "SPLIT",
    "not_covered": "SPLIT",
    "layer_excluded": "SPLIT",
    "non_experimental": "TARGETING_MATCH",
    "ineligible": "STATIC",
    "killed": "DISABLED",
    "paused": "DISABLED",
}
# Of a decision's fields, those that a client may acknowledge the rendering with; None is left out: metadata has no null.
_METADATA = ("policy", "rule_version", "assignment_id", "decision_id", "exposure_token")
# Different at each evaluation, and no news: an ETag does not see them.
VOLATILE = frozenset({"decision_id", "exposure_token"})

Evaluation = dict[str, Any]


def rollback_flags(rules: Rules) -> dict[str, list[KnownPolicy]]:
    """Flag -> the policies that name it."""
    found: dict[str, list[KnownPolicy]] = {}
    for policy in (policy for policies in rules.policies.values() for policy in policies):
        found.setdefault(policy.rollback_flag, []).append(policy)
    return found


def decided_flags(rules: Rules) -> frozenset[str]:
    """Keys of the policies that an evaluation decides."""
    return frozenset(policy.key for policy in rules.policies.get(EVENT, ()))


def is_flag(key: str, rules: Rules) -> bool:
    return key in decided_flags(rules) or key in rollback_flags(rules)


def evaluations(served: Served, rules: Rules) -> Iterator[Evaluation]:
    """Of all flags, in the order of their keys."""
    keys = decided_flags(rules) | rollback_flags(rules).keys()
    return (evaluation(key, served, rules) for key in sorted(keys))


def evaluation(key: str, served: Served, rules: Rules) -> Evaluation:
    """Of a flag that there is. A rollback flag that has the name of a policy is the rollback flag."""
    guarded = rollback_flags(rules).get(key)
    if guarded is not None:
        return _switch(key, guarded)
    decision = next((found for found in served.decisions if found.policy == key), None)
    return _decided(key, decision, served.why)


def _switch(key: str, policies: Iterable[KnownPolicy]) -> Evaluation:
    named = list(policies)
    stopped = [policy for policy in named if not policy.treats]
    state = next((policy.halted or policy.mode for policy in stopped), "active")
    return {
        "key": key,
        "value": not stopped,
        "reason": "DISABLED" if stopped else "STATIC",
        "variant": "off" if stopped else "on",
        "metadata": {"policies": ",".join(policy.key for policy in named), "state": state},
    }


def _decided(key: str, decision: ServedDecision | None, why: str | None) -> Evaluation:
    if decision is None:  # put into force between the question and the answer
        return {"key": key, "reason": "UNKNOWN", "variant": "none", "metadata": {"policy": key}}
    fields = decision._asdict()
    metadata = {name: fields[name] for name in _METADATA if fields[name] is not None} | {"served": decision.served}
    if why is not None:
        metadata["why"] = why
    return {
        "key": key,
        **_value(decision.action),
        "reason": REASONS.get(decision.reason, "UNKNOWN"),
        "variant": decision.variant if decision.served == "variant" else decision.served,
        "metadata": metadata,
    }


def _value(action: Mapping[str, Any] | None) -> dict[str, Any]:
    """The payload's `value`; without such a field the payload whole; without a payload the code's default: no value."""
    payload = None if action is None else action.get("payload")
    if payload is None:
        return {}
    value = payload.get("value", payload)
    return {} if value is None else {"value": value}
