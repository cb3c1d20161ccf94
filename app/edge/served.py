"""What a request for decisions was given: the committed decisions of its signal, or the policies' fallback actions.

Owns the values, what a client sees of them (`body`), and why a fallback was served (WHY). Refuses to show what is the
operators': gates, buckets and digests stay in the journal.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from app.edge.rules import KnownPolicy

Shown = Literal["variant", "fallback", "none"]
# Reasons of a decision whose action is the unit's variant (app/engine/decision.SERVING, as the journal words them).
VARIANT_REASONS = frozenset({"assigned", "sticky", "non_experimental"})
# Why not the committed decisions; in the answer and in the delivery record.
WHY: Mapping[str, str] = {
    "deadline": "no committed decision came within the deadline; the journal will have one",
    "unkept": "neither Kafka nor the disk had taken the signal within the deadline; one of them may still",
    "spooled": "Kafka does not answer: the signal is kept on disk and decided later",
    "no_replies": "this edge does not hear replies at the moment; the signal is decided all the same",
    "duplicate": "an event of this id was decided before; ask with a new event_id",
    "rejected": "the worker could not accept the signal; its dead letter says why",
    "client_gone": "whoever asked had closed the connection before there was an answer",
}

# (unit, policy, variant, rule version, assignment id, decision id) -> exposure token
MakeToken = Callable[[str, str, str, int, str, str], str]


class ServedDecision(NamedTuple):
    """One policy's answer. decision_id, rule_version None: a fallback, whose decision the edge does not know.

    variant: the unit's, also where it was not shown. exposure_token: for the acknowledgement, where the variant is shown.
    """

    policy: str
    decision_point: str
    kind: str
    served: Shown
    action: dict[str, Any] | None
    reason: str
    decision_id: str | None = None
    rule_version: int | None = None
    variant: str | None = None
    holdout: bool = False
    assignment_id: str | None = None
    exposure_token: str | None = None


class Served(NamedTuple):
    """The answer to one request. source: where the decisions are from; why: one of WHY, None for the journal's.

    status: of the journal record (app/contract/journal.STATUSES). visible_us: when the edge saw the committed record.
    deadline_ms None: nobody asked, it was pushed.
    """

    event_id: str
    unit: str
    source: Literal["journal", "fallback"]
    why: str | None
    deadline_ms: int | None
    decisions: tuple[ServedDecision, ...]
    status: str | None = None
    visible_us: int | None = None

    def body(self) -> dict[str, Any]:
        """The JSON of `POST /v1/decide`."""
        return {
            "event_id": self.event_id,
            "source": self.source,
            "why": self.why,
            "deadline_ms": self.deadline_ms,
            "decisions": [decision._asdict() for decision in self.decisions],
        }


def from_journal(record: Mapping[str, Any], make_token: MakeToken) -> tuple[ServedDecision, ...]:
    """The decisions of a committed journal record, as they are served."""
    return tuple(_decided(decision, record["unit"], make_token) for decision in record["decisions"])


def _decided(decision: Mapping[str, Any], unit: str, make_token: MakeToken) -> ServedDecision:
    action, reason = decision["action"], decision["reason"]
    served: Shown = "none" if action is None else "variant" if reason in VARIANT_REASONS else "fallback"
    variant, assignment, version = decision["variant"], decision["assignment_id"], decision["rule_version"]
    token = None
    if served == "variant" and assignment is not None:
        token = make_token(unit, decision["policy"], variant, version, assignment, decision["decision_id"])
    return ServedDecision(
        policy=decision["policy"],
        decision_point=decision["decision_point"],
        kind=decision["kind"],
        served=served,
        action=action,
        reason=reason,
        decision_id=decision["decision_id"],
        rule_version=version,
        variant=variant,
        holdout=decision["holdout"],
        assignment_id=assignment,
        exposure_token=token,
    )


def from_policies(policies: Iterable[KnownPolicy]) -> tuple[ServedDecision, ...]:
    """The fallback action of each live policy that a signal would have triggered; a stopped one shows nothing."""
    return tuple(
        ServedDecision(
            policy=policy.key,
            decision_point=policy.decision_point,
            kind=policy.kind,
            served="fallback" if policy.treats else "none",
            action=dict(policy.fallback_action) if policy.treats else None,
            reason="late_fallback" if policy.treats else policy.halted or "shadow",
        )
        for policy in policies
    )
