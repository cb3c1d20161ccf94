"""Ten faults, one for each point of the audit: each is planted into the topics of a copy of a history that has none."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from app.checker import ids
from app.contract.topics import EXPERIMENT_EXPOSURE, EXPOSURES, JOURNAL, OUTCOMES
from tests.audit.conftest import an_hour_ago
from tests.audit.world import AuditedWorld
from tests.replay.world import NUDGE, PARTITIONS

Change = Callable[[dict[str, Any]], None]
NOWHERE = "00000000-0000-5000-8000-000000000000"


def inferred_exposure(world: AuditedWorld) -> AuditedWorld:
    """An exposure of somebody who was decided for and never saw it."""
    partition, at = _exposure(world)
    shown = {body["experiment"]["assignment_id"] for p in range(PARTITIONS) for body in _bodies(world, EXPERIMENT_EXPOSURE, p)}
    decision = next(d for _, _, d in _decisions(world, partition) if d["assigned"] and d["assignment_id"] not in shown)
    body = world.body(EXPOSURES, partition, at)
    said = body["experiment"] | {"assignment_id": decision["assignment_id"], "variant": decision["variant"]}
    names = {"exposure_id": _exposure_id(decision), "decision_id": decision["decision_id"], "properties": {}}
    records = world.topics[EXPOSURES, partition]
    records.append(records[at]._replace(value=orjson.dumps(body | {"experiment": said} | names)))
    return world


def reroll(world: AuditedWorld) -> AuditedWorld:
    def other(decision: dict[str, Any]) -> None:
        decision["variant"] = {"A": "B", "B": "A"}[decision["variant"]]

    # A late fallback acts like no variant: only the variant itself is wrong.
    _change(world, lambda d: d["sticky"] and d["reason"] == "late_fallback", other)
    return world


def treated_holdout(world: AuditedWorld) -> AuditedWorld:
    def treat(decision: dict[str, Any]) -> None:
        decision["action"] = {"kind": "render", "slot": "onboarding.nudge", "component": "nudge"}

    _change(world, lambda d: d["holdout"], treat)
    return world


def counted_twice(world: AuditedWorld) -> AuditedWorld:
    partition, at = _exposure(world)
    records = world.topics[EXPOSURES, partition]
    records.append(records[at])
    return world


def unlogged_latency(world: AuditedWorld) -> AuditedWorld:
    partition, at = _exposure(world)
    latency = world.body(EXPOSURES, partition, at)["latency"]
    world.rewrite(EXPOSURES, partition, at, latency=latency | {"decision_to_render_ms": None, "signal_to_render_ms": None})
    return world


def irreproducible_eligibility(world: AuditedWorld) -> AuditedWorld:
    def let_in(decision: dict[str, Any]) -> None:
        decision["eligible"] = True

    _change(world, lambda d: d["reason"] == "ineligible", let_in)
    return world


def no_drill(_: AuditedWorld) -> AuditedWorld:
    """The same history, but for the drill."""
    made = AuditedWorld(an_hour_ago(), drilled=False)
    made.run()
    return made


def other_rendering(world: AuditedWorld) -> AuditedWorld:
    partition, at = _exposure(world)
    properties = world.body(EXPOSURES, partition, at)["properties"]
    world.rewrite(EXPOSURES, partition, at, properties=properties | {"rendered_digest": "another"})
    return world


def joinless_outcome(world: AuditedWorld) -> AuditedWorld:
    for partition in range(PARTITIONS):
        for at, body in enumerate(_bodies(world, OUTCOMES, partition)):
            joined = copy.deepcopy(body["assignments"])
            ours = next((one for one in joined if one["policy"] == NUDGE), None)
            if ours is not None:
                ours["assignment_id"] = NOWHERE
                world.rewrite(OUTCOMES, partition, at, assignments=joined)
                return world
    raise AssertionError("no outcome of the nudge")


def irreproducible(world: AuditedWorld) -> AuditedWorld:
    def drawn_otherwise(decision: dict[str, Any]) -> None:
        decision["bucket"] = 0.123456

    _change(world, lambda d: d["reason"] == "sticky", drawn_otherwise)
    return world


# In the order of the points.
FAULTS: tuple[Callable[[AuditedWorld], AuditedWorld], ...] = (
    inferred_exposure,
    reroll,
    treated_holdout,
    counted_twice,
    unlogged_latency,
    irreproducible_eligibility,
    no_drill,
    other_rendering,
    joinless_outcome,
    irreproducible,
)


def _exposure_id(decision: dict[str, Any]) -> str:
    return ids.exposure_id(decision["assignment_id"])


def _bodies(world: AuditedWorld, topic: str, partition: int) -> Iterator[dict[str, Any]]:
    for stored in world.topics.get((topic, partition), []):
        yield orjson.loads(stored.value)


def _decisions(world: AuditedWorld, partition: int) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    for at, body in enumerate(_bodies(world, JOURNAL, partition)):
        for decision in body["decisions"]:
            if decision["policy"] == NUDGE:
                yield at, body, decision


def _change(world: AuditedWorld, wanted: Callable[[dict[str, Any]], bool], change: Change) -> None:
    """The first decision of the nudge that is wanted, in its journal record."""
    for partition in range(PARTITIONS):
        for at, body, decision in _decisions(world, partition):
            if wanted(decision):
                change(decision)
                world.rewrite(JOURNAL, partition, at, decisions=body["decisions"])
                return
    raise AssertionError("no such decision of the nudge")


def _exposure(world: AuditedWorld) -> tuple[int, int]:
    """Partition and index of an exposure of the nudge."""
    for partition in range(PARTITIONS):
        for at, body in enumerate(_bodies(world, EXPOSURES, partition)):
            if body["experiment"]["key"] == NUDGE:
                return partition, at
    raise AssertionError("no exposure of the nudge")
