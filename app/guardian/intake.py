"""From a committed record to the few facts that guardrails need. Pure; whatever is not such a fact gives nothing.

The journal, exposures and outcomes are our own records. Deliveries come from clients of the log: a field that is not what it
should be makes the record say nothing, and one about nobody who was assigned counts for nobody (ledger.py).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import orjson

from app.contract.topics import DECISION_DELIVERY, EXPOSURES, JOURNAL, OUTCOMES

SOURCES = (JOURNAL, EXPOSURES, OUTCOMES, DECISION_DELIVERY)
Kind = Literal["assigned", "late", "held_out", "delivered", "shown", "met"]


class Fact(NamedTuple):
    """About one person under one rule version. what: the arm (assigned), the guardrail's role (met), else empty."""

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
        if decision["mode"] != "live" or decision["kind"] != "experiment" or decision["assignment_id"] is None:
            continue
        place = decision["policy"], decision["rule_version"], unit
        if decision["holdout"]:
            yield Fact("held_out", *place, "")
        elif decision["variant"] is not None:
            # Where a model chooses, the arm is who chose. Only the first decision says so, and the ledger keeps the first.
            yield Fact("assigned", *place, (decision.get("model") or {}).get("chosen_by") or decision["variant"])
            if decision["late"] and not decision["sticky"]:
                yield Fact("late", *place, "")


def _exposure(body: Mapping[str, Any], key: str) -> Iterator[Fact]:
    shown = body["experiment"]
    yield Fact("shown", shown["key"], shown["rule_version"], key, "")


def _outcome(body: Mapping[str, Any], _: str) -> Iterator[Fact]:
    for joined in body["assignments"]:
        if joined["outcome"].startswith("guardrail[") and not joined["holdout"]:
            yield Fact("met", joined["policy"], joined["rule_version"], body["unit"], joined["outcome"])


def _delivery(body: Mapping[str, Any], key: str) -> Iterator[Fact]:
    said = body.get("properties")
    if not isinstance(said, dict) or said.get("served") != "variant":
        return
    policy, version = said.get("policy"), said.get("rule_version")
    if isinstance(policy, str) and type(version) is int:
        yield Fact("delivered", policy, version, key, "")


_READERS: dict[str, Callable[[Mapping[str, Any], str], Iterator[Fact]]] = {
    JOURNAL: _journal,
    EXPOSURES: _exposure,
    OUTCOMES: _outcome,
    DECISION_DELIVERY: _delivery,
}
