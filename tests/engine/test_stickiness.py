"""Law of stickiness: a unit keeps its variant, its holdout and its version, whatever becomes of the policy."""

from itertools import islice
from typing import Any

import pytest

from app.contract.policy import Policy
from app.engine.policies import Policies
from tests.engine.world import RENDER_A, RENDER_B, World, body, catalogue, in_force, snapshot, unit_of, units

C_ONLY = [{"key": "C", "weight": 1.0, "action": RENDER_A}]
MOSTLY_A = [{"key": "A", "weight": 0.99, "action": RENDER_A}, {"key": "B", "weight": 0.01, "action": RENDER_B}]
IN_B = snapshot(body())


def next_version(policy: Policy, number: int = 2, **more: Any) -> Policies:
    return snapshot(in_force(policy, version=number, phase=number, versions={1: body()}, **more))


@pytest.mark.parametrize(
    "later",
    [
        next_version(body()),
        next_version(body(variants=MOSTLY_A)),
        next_version(body(variants=C_ONLY)),
        next_version(body(seed="another")),
        next_version(body(hash_version=1)),
        next_version(body(coverage_permille=1)),
        next_version(body(layer={"name": "front", "range": [0.0, 0.0]})),
        next_version(body(holdout="global"), number=3),
        snapshot(body(holdout="everyone"), catalogue=catalogue(holdouts={"everyone": {"seed": "e", "permille": 1000}})),
    ],
    ids=["version", "weights", "removed variant", "seed", "hash", "coverage down", "layer", "new holdout", "holdout of all"],
)
def test_a_unit_keeps_variant_version_and_action_through_any_later_version(later: Policies) -> None:
    unit = unit_of(IN_B, lambda decision: decision["variant"] == "B")
    world = World(IN_B)
    first = world.send(unit=unit).decision
    world.policies = later
    again = world.send(unit=unit).decision
    assert (again["reason"], again["sticky"], again["action"]) == ("sticky", True, RENDER_B)
    for field in ("variant", "rule_version", "phase", "assignment_id", "bucket"):
        assert again[field] == first[field]
    assert again["active_rule_version"] == later.by_key["p"].rule_version


def test_an_assigned_unit_that_is_ineligible_now_is_not_treated_and_keeps_its_assignment() -> None:
    world = World(snapshot(body(eligibility={"context.device": "web"})))
    first = world.send().decision
    away = world.send(context={"device": "tv"})
    assert (away.reason, away.decision["assigned"], away.decision["action"]) == ("ineligible", False, None)
    assert world.send().decision["assignment_id"] == first["assignment_id"]


def test_an_assignment_crosses_sessions_and_surfaces() -> None:
    world = World(snapshot(body()))
    first = world.send().decision
    again = world.wait(86_400 * 30).send(session_id="s-2", context={"route": "/", "device": "ios"}).decision
    assert (again["variant"], again["assignment_id"]) == (first["variant"], first["assignment_id"])


def test_only_a_version_that_says_reassign_moves_a_unit_and_the_journal_names_it() -> None:
    world = World(snapshot(body()))
    first = world.send().decision
    world.policies = next_version(body(variants=C_ONLY, reassign=True))
    moved = world.send().decision
    assert (moved["reason"], moved["variant"], moved["rule_version"], moved["sticky"]) == ("assigned", "C", 2, False)
    assert moved["assignment_id"] != first["assignment_id"]
    again = world.send().decision
    assert (again["reason"], again["variant"], again["assignment_id"]) == ("sticky", "C", moved["assignment_id"])


def test_a_reassigning_version_never_moves_a_unit_out_of_its_holdout() -> None:
    held = body(holdout="global")
    unit = unit_of(snapshot(held), lambda decision: decision["holdout"])
    world = World(snapshot(held))
    first = world.send(unit=unit).decision
    world.govern(in_force(body(holdout="global", reassign=True), version=2, versions={1: held}))
    again = world.send(unit=unit).decision
    assert (again["reason"], again["assignment_id"], again["rule_version"]) == ("holdout", first["assignment_id"], 1)


def test_a_reassigned_unit_that_the_new_version_does_not_cover_gets_nothing() -> None:
    narrow = body(coverage_permille=1, reassign=True)
    unit = unit_of(snapshot(narrow), lambda decision: decision["reason"] == "not_covered")
    world = World(snapshot(body()))
    world.send(unit=unit)
    world.policies = next_version(narrow)
    decision = world.send(unit=unit).decision
    assert (decision["reason"], decision["variant"], decision["assignment_id"]) == ("not_covered", None, None)


@pytest.mark.parametrize("permille", [1, 999])
def test_a_holdout_is_kept_when_its_permille_changes(permille: int) -> None:
    policy = body(holdout="global")
    free = unit_of(snapshot(policy), lambda decision: not decision["holdout"])
    held = unit_of(snapshot(policy), lambda decision: decision["holdout"])
    world = World(snapshot(policy))
    for unit in (free, held):
        world.send(unit=unit)
    world.govern(
        policy, body("q", holdout="global"), catalogue=catalogue(holdouts={"global": {"seed": "g2", "permille": permille}})
    )
    for policy_key in ("p", "q"):
        assert world.send(unit=free).of(policy_key)["holdout"] is False
        assert world.send(unit=held).of(policy_key)["reason"] == "holdout"


def test_a_named_holdout_holds_the_same_units_for_every_policy_that_names_it() -> None:
    world = World(snapshot(body("p", holdout="global"), body("q", holdout="global", seed="other"), body("r")))
    held = 0
    for number in range(300):
        result = world.send(unit=f"u-{number}")
        assert result.of("p")["holdout"] == result.of("q")["holdout"]
        assert result.of("r")["holdout"] is False
        held += result.of("p")["holdout"]
    assert 10 < held < 60


def test_a_held_out_unit_stays_held_out_when_a_later_version_names_no_holdout() -> None:
    policy = body(holdout="global")
    unit = unit_of(snapshot(policy), lambda decision: decision["holdout"])
    world = World(snapshot(policy))
    world.send(unit=unit)
    world.govern(in_force(body(), version=2, versions={1: policy}))
    assert world.send(unit=unit).reason == "holdout"


def test_policies_of_one_layer_exclude_each_other() -> None:
    left, right = (
        body(key, layer={"name": "front", "range": span}) for key, span in (("left", [0.0, 0.5]), ("right", [0.5, 1.0]))
    )
    world = World(snapshot(left, right))
    taken = {"left": 0, "right": 0}
    for number in range(200):
        result = world.send(unit=f"u-{number}")
        (only,) = [decision["policy"] for decision in result.journal["decisions"] if decision["assigned"]]
        taken[only] += 1
    assert min(taken.values()) > 60


def test_a_ramp_only_adds_units_and_moves_none() -> None:
    covered: dict[str, str] = {}
    for permille in (100, 250, 500, 1000):
        policies = snapshot(in_force(body(), coverage_permille=permille))
        world = World(policies)
        now = {f"u-{n}": world.send(unit=f"u-{n}").decision["variant"] for n in range(400)}
        now = {unit: variant for unit, variant in now.items() if variant is not None}
        assert covered.items() <= now.items()
        assert len(now) > len(covered)
        covered = now
    assert len(covered) == 400


def test_the_phase_of_the_ramp_step_is_frozen_into_the_assignment() -> None:
    small, large = (in_force(body(), phase=phase, coverage_permille=c) for phase, c in ((4, 100), (9, 1000)))
    early = unit_of(snapshot(small), lambda decision: decision["assigned"])
    late = unit_of(snapshot(small), lambda decision: not decision["assigned"])
    world = World(snapshot(small))
    assert world.send(unit=early).decision["phase"] == 4
    world.govern(large)
    assert (world.send(unit=early).decision["phase"], world.send(unit=late).decision["phase"]) == (4, 9)


def test_weights_share_the_units_out() -> None:
    hundredth = next(islice(units(snapshot(body()), lambda decision: decision["variant"] == "A"), 99, None))
    assert 150 < int(hundredth.removeprefix("u-")) < 260


def test_an_anonymous_unit_is_keyed_and_assigned_by_its_prefixed_id() -> None:
    world = World(snapshot(body()))
    result = world.send(user_id=None, anonymous_id="a-9")
    assert (result.status, result.journal["unit"], result.reason) == ("decided", "anon:a-9", "assigned")
    assert world.send(user_id=None, anonymous_id="a-9").reason == "sticky"
