"""What the edge served is journalled, and its times stand in the exposure that follows; it exposes nobody."""

from typing import Any

import pytest

from app.contract.times import format_us
from tests.engine.world import Json, Result, World, body, snapshot

POLICIES = snapshot(body())


def delivered(world: World, decision: Json, unit: str = "u-1", **changes: Any) -> Result:
    """visible 55 ms and delivered 58 ms after the signal of this moment."""
    said = {
        "decision_id": decision["decision_id"], "policy": decision["policy"], "assignment_id": decision["assignment_id"],
        "served": "variant", "visible_ts": format_us(world.now_us + 55_000), "delivered_ts": format_us(world.now_us + 58_000),
    }  # fmt: skip
    return world.send("decision_delivery", unit, properties=said | changes)


def exposed_latency(world: World, decision: Json) -> Json:
    (exposure,) = world.wait(1).acknowledge(decision).on("exposures")
    latency: Json = exposure["latency"]
    return latency


def test_a_delivery_is_journalled_and_its_times_are_in_the_exposure() -> None:
    world = World(POLICIES)
    decision = world.send().decision
    result = delivered(world, decision)
    assert (result.status, result.on("exposures")) == ("delivered", [])
    latency = exposed_latency(world, decision)
    assert (latency["visible_ts"], latency["delivered_ts"]) == ("2026-11-22T10:15:30.055000Z", "2026-11-22T10:15:30.058000Z")
    assert latency["signal_to_delivered_ms"] == 58.0


def test_a_delivery_without_a_moment_of_visibility_says_what_it_knows() -> None:
    world = World(POLICIES)
    decision = world.send().decision
    delivered(world, decision, visible_ts=None)
    latency = exposed_latency(world, decision)
    assert (latency["visible_ts"], latency["delivered_ts"]) == (None, "2026-11-22T10:15:30.058000Z")


@pytest.mark.parametrize(
    "changes",
    [
        {"served": "fallback"},
        {"served": "none", "decision_id": None, "policy": None, "assignment_id": None},
        {"decision_id": "0f0e0d0c-0b0a-5909-8807-060504030201"},
        {"policy": "another"},
        {"assignment_id": 7},
    ],
)
def test_what_did_not_serve_this_decision_changes_no_row(changes: Json) -> None:
    world = World(POLICIES)
    decision = world.send().decision
    before = world.row("assignments")
    assert delivered(world, decision, **changes).status == "delivered"
    assert world.row("assignments") == before
    assert exposed_latency(world, decision)["delivered_ts"] is None


def test_a_decision_that_was_replaced_since_is_not_what_was_delivered() -> None:
    world = World(POLICIES)
    first = world.send().decision
    last = world.wait(5).send().decision
    delivered(world, first)
    assert exposed_latency(world, last)["delivered_ts"] is None


def test_a_delivery_after_the_exposure_or_told_twice_changes_nothing() -> None:
    world = World(POLICIES)
    decision = world.send().decision
    envelope = world.event("decision_delivery", properties={"served": "variant", "decision_id": decision["decision_id"]})
    assert [world.put(envelope).status for _ in range(2)] == ["delivered", "duplicate"]
    world.acknowledge(decision)
    before = world.row("assignments")
    assert delivered(world, decision).status == "delivered"
    assert world.row("assignments") == before


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"served": "perhaps"}, "properties.served"),
        ({"served": None}, "properties.served"),
        ({"served": ["variant"]}, "properties.served"),
        ({"visible_ts": "noon"}, "properties.visible_ts"),
        ({"delivered_ts": "2026-02-30T10:00:00Z"}, "properties.delivered_ts"),
        ({"delivered_ts": 5}, "properties.delivered_ts"),
        ({"delivered_ts": "2026-11-22T24:00:00Z"}, "properties.delivered_ts"),
    ],
)
def test_what_no_edge_says_is_rejected_by_name(changes: Json, word: str) -> None:
    world = World(POLICIES)
    result = delivered(world, world.send().decision, **changes)
    assert (result.status, result.code) == ("rejected", "invalid_field")
    assert word in result.journal["rejection"]["message"]
