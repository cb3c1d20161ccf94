"""From a committed record to the few facts that guardrails need. Pure; whatever is not such a fact gives nothing.

The journal, exposures and outcomes are our own records. Deliveries come from clients of the log: a field that is not what it
should be makes the record say nothing, and one about nobody who was assigned counts for nobody (ledger.py).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import orjson

from app.contract.ids import is_own
from app.contract.topics import DECISION_DELIVERY, EXPOSURES, JOURNAL, OUTCOMES
from app.guardian.cells import cell_of

SOURCES = (JOURNAL, EXPOSURES, OUTCOMES, DECISION_DELIVERY)
Kind = Literal["assigned", "late", "held_out", "delivered", "shown", "met", "scored"]


class Fact(NamedTuple):
    """About one unit under one rule version: a person, or a decision where variants are drawn for each (unit: its assignment).
    what: the arm (assigned), the guardrail's role (met), name and cell of a score (scored), else empty."""

    kind: Kind
    policy: str
    version: int
    unit: str
    what: str


def facts(topic: str, key: bytes | None, value: bytes) -> list[Fact]:
    """topic: the contract's name."""
    try:
        body = orjson.loads(value)
    except orjson.JSONDecodeError:
        return []
    return list(_READERS[topic](body, "" if key is None else key.decode(errors="replace"))) if isinstance(body, dict) else []


def _journal(body: Mapping[str, Any], _: str) -> Iterator[Fact]:
    unit = str(body.get("unit"))
    for decision in body.get("decisions") or ():
        yield from _scored(decision, unit)
        if decision["mode"] != "live" or decision["kind"] != "experiment" or decision["assignment_id"] is None:
            continue
        whom = _whom(unit, decision["assignment_id"], decision.get("decision_id"))
        place = decision["policy"], decision["rule_version"], whom
        if decision["holdout"]:
            yield Fact("held_out", *place, "")
        elif decision["variant"] is not None:
            # Where a model chooses, the arm is who chose. Only the first decision says so, and the ledger keeps the first.
            yield Fact("assigned", *place, (decision.get("model") or {}).get("chosen_by") or decision["variant"])
            if decision["late"] and not decision["sticky"]:
                yield Fact("late", *place, "")


def _scored(decision: Mapping[str, Any], unit: str) -> Iterator[Fact]:
    """Of every decision that a model was asked for: whoever is kept to a variant is scored where eligibility asks."""
    model = decision.get("model")
    if model is not None and decision["mode"] == "live":
        for name, score in model["scores"].items() if "scores" in model else ():
            yield Fact("scored", decision["policy"], decision["active_rule_version"], unit, f"{name} {cell_of(score)}")


def _exposure(body: Mapping[str, Any], key: str) -> Iterator[Fact]:
    shown = body["experiment"]
    whom = _whom(key, shown.get("assignment_id"), body.get("decision_id"))
    yield Fact("shown", shown["key"], shown["rule_version"], whom, "")


def _outcome(body: Mapping[str, Any], _: str) -> Iterator[Fact]:
    for joined in body["assignments"]:
        if joined["outcome"].startswith("guardrail[") and not joined["holdout"]:
            whom = _whom(body["unit"], joined.get("assignment_id"), joined.get("decision_id"))
            yield Fact("met", joined["policy"], joined["rule_version"], whom, joined["outcome"])


def _delivery(body: Mapping[str, Any], key: str) -> Iterator[Fact]:
    said = body.get("properties")
    if not isinstance(said, dict) or said.get("served") != "variant":
        return
    policy, version = said.get("policy"), said.get("rule_version")
    if isinstance(policy, str) and type(version) is int:
        yield Fact("delivered", policy, version, _whom(key, _text(said, "assignment_id"), _text(said, "decision_id")), "")


def _whom(unit: str, assignment: str | None, decision: str | None) -> str:
    """Whom a fact is about: the unit, or one decision about it, where that has an assignment of its own."""
    return assignment if assignment is not None and is_own(assignment, decision) else unit


def _text(said: Mapping[str, Any], name: str) -> str | None:
    found = said.get(name)
    return found if isinstance(found, str) else None


_READERS: dict[str, Callable[[Mapping[str, Any], str], Iterator[Fact]]] = {
    JOURNAL: _journal,
    EXPOSURES: _exposure,
    OUTCOMES: _outcome,
    DECISION_DELIVERY: _delivery,
}
