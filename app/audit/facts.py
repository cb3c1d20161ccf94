"""What the raw topics hold about one policy, record by record: decisions, acknowledgements, exposures, outcomes.

Owns the shape of each and how it is read out of a body. Refuses nothing: what is missing is None, and a point judges it.
Memory: one small value a record that names the policy.
"""

import sys
from typing import Any, NamedTuple

import orjson

from app.audit.findings import Place

# Decisions that show the variant. A late fallback shows none.
SERVED = frozenset({"assigned", "sticky", "non_experimental"})
# In a journal's latency; None of a timer's, which has no signal, is no gap.
LOGGED = ("appended_ts", "decided_ts", "signal_to_decision_ms")
LOGGED_OF_RENDER = ("decided_ts", "rendered_ts", "signal_to_decision_ms", "decision_to_render_ms", "signal_to_render_ms")


class Decided(NamedTuple):
    """A decision of the policy. origin: the input that it was made of; action: its canonical bytes, None for no action.
    rule_version: of the assignment; active_rule_version: the one whose eligibility was asked.

    lacks: what its latency does not say. event_id None: a timer's.
    """

    place: Place
    unit: str
    origin: Place
    event_id: str | None
    governance_offset: int
    appended_ts: str | None
    decided_ts: str | None
    decision_id: str
    point: str
    rule_version: int
    active_rule_version: int
    holdout: bool
    eligible: bool
    variant: str | None
    assignment_id: str | None
    reason: str
    action: bytes | None
    signal_to_decision_ms: float | None
    lacks: tuple[str, ...]

    @property
    def is_served(self) -> bool:
        return self.action is not None and self.reason in SERVED

    @property
    def arm(self) -> str | None:
        return "(held out)" if self.holdout else self.variant


class Acknowledged(NamedTuple):
    place: Place
    assignment_id: str | None
    variant: str | None


class Exposed(NamedTuple):
    """rendered_digest: what the client says that it showed, as a digest; None where it does not say."""

    place: Place
    unit: str
    exposure_id: str | None
    assignment_id: str | None
    decision_id: str | None
    variant: str | None
    rule_version: int | None
    surface: str | None
    exposed_by: str | None
    rendered_digest: str | None
    decision_to_render_ms: float | None
    signal_to_render_ms: float | None
    lacks: tuple[str, ...]


class Counted(NamedTuple):
    """An outcome record, of one assignment of the policy."""

    place: Place
    unit: str
    outcome_id: str | None
    event_id: str | None
    role: str | None
    assignment_id: str | None
    rule_version: int | None
    arm: str | None
    appended_ms: int


class Facts:
    """settled: what logins gave to users, in the form of decisions that show nothing. read: records by topic.

    taken_by_retention: where topics begin that have lost their beginning.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.decisions: list[Decided] = []
        self.settled: list[Decided] = []
        self.acknowledgements: list[Acknowledged] = []
        self.exposures: list[Exposed] = []
        self.outcomes: list[Counted] = []
        self.read: dict[str, int] = {}
        self.taken_by_retention: list[str] = []

    def take_journal(self, place: Place, body: dict[str, Any]) -> None:
        for decision in body["decisions"]:
            if decision["policy"] == self.key:
                self.decisions.append(_decided(place, body, decision))
        for settled in (body.get("identity") or {}).get("settled", ()):
            if settled["policy"] == self.key:
                self.settled.append(_settled(place, body, settled))

    def take_acknowledgement(self, place: Place, body: dict[str, Any]) -> None:
        said = body.get("experiment")
        if isinstance(said, dict) and said.get("key") == self.key:
            self.acknowledgements.append(Acknowledged(place, said.get("assignment_id"), said.get("variant")))

    def take_exposure(self, place: Place, unit: str, body: dict[str, Any]) -> None:
        if body["experiment"]["key"] == self.key:
            self.exposures.append(_exposed(place, unit, body))

    def take_outcome(self, place: Place, unit: str, body: dict[str, Any], appended_ms: int) -> None:
        for joined in body["assignments"]:
            if joined["policy"] == self.key:
                arm = "(held out)" if joined["holdout"] else joined["variant"]
                names = body.get("outcome_id"), body.get("event_id"), joined.get("outcome")
                given = joined.get("assignment_id"), joined.get("rule_version"), arm
                self.outcomes.append(Counted(place, unit, *names, *given, appended_ms))


def _decided(place: Place, body: dict[str, Any], decision: dict[str, Any]) -> Decided:
    latency, named = body.get("latency") or {}, body.get("origin", body["input"])
    action = decision["action"]
    return Decided(
        place,
        body["unit"],
        Place(named["topic"], named["partition"], named["offset"]),
        body["input"].get("event_id"),
        body["governance_offset"],
        latency.get("appended_ts"),
        latency.get("decided_ts"),
        decision["decision_id"],
        decision["decision_point"],
        decision["rule_version"],
        decision["active_rule_version"],
        decision["holdout"],
        decision["eligible"],
        decision["variant"],
        decision["assignment_id"],
        sys.intern(decision["reason"]),
        None if action is None else orjson.dumps(action, option=orjson.OPT_SORT_KEYS),
        latency.get("signal_to_decision_ms"),
        tuple(name for name in LOGGED if latency.get(name) is None),
    )


def _settled(place: Place, body: dict[str, Any], settled: dict[str, Any]) -> Decided:
    """A login has carried an assignment from a device to its user, or found the user's own."""
    given = {
        "decision_id": "", "decision_point": "", "active_rule_version": settled["rule_version"], "eligible": True,
        "reason": "linked", "action": None,
    }  # fmt: skip
    return _decided(place, body | {"unit": body["identity"]["user"]}, given | settled)


def _exposed(place: Place, unit: str, body: dict[str, Any]) -> Exposed:
    said, latency, properties = body["experiment"], body.get("latency") or {}, body.get("properties") or {}
    by = body.get("exposed_by")
    return Exposed(
        place,
        unit,
        body.get("exposure_id"),
        said.get("assignment_id"),
        body.get("decision_id"),
        said.get("variant"),
        said.get("rule_version"),
        body.get("surface"),
        by,
        properties.get("rendered_digest"),
        latency.get("decision_to_render_ms"),
        latency.get("signal_to_render_ms"),
        tuple(name for name in LOGGED_OF_RENDER if latency.get(name) is None) if by == "render" else (),
    )
