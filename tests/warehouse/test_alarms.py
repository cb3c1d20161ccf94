"""The facts behind the alarms, counted from rows: what is planted there is found, and the verdict names it."""

from tests.warehouse.conftest import Without
from tests.warehouse.world import World


def _alike(world: World, people: int = 60) -> World:
    world.begin().end()
    for arm in ("A", "B"):
        for number in range(people):
            world.person(f"{arm}{number}", arm, 1 + number % 14, converts=number % 4 == 0)
    return world


def _fired(world: World) -> set[str]:
    return {alarm.name for alarm in world.lift().alarms if alarm.fires}


def test_rows_without_a_fault_raise_no_alarm(world: World) -> None:
    _alike(world).write()
    assert _fired(world) == set()
    assert {alarm.name for alarm in world.lift().alarms} >= {"sample ratio mismatch", "rerolls", "missing days"}


def test_a_control_that_is_never_acknowledged_makes_the_lift_invalid(world: World) -> None:
    world.begin().end()
    for arm in ("A", "B"):
        for number in range(60):
            world.person(f"{arm}{number}", arm, 1, shown=arm == "B", converts=number < 20)
    found = world.write().lift()
    assert found.verdict == "invalid: an arm is never acknowledged"
    assert (found.metrics, found.holdout) == ([], [])


def test_units_that_change_their_arm_are_rerolls(world: World, without: Without) -> None:
    _alike(world)
    for number in range(30):
        world.decide(f"A{number}", "B", 15, assignment_id=f"second-{number}")
    world.write()
    assert world.lift().verdict == "invalid: rerolls"
    unseen = without(world, "alarm_rerolled", "arm <> arm_before", "FALSE")
    assert "rerolls" not in {alarm.name for alarm in unseen.alarms if alarm.fires}


def test_a_held_out_person_who_was_shown_something_ends_comparisons_with_the_holdout_alone(world: World) -> None:
    _alike(world).arm("held out", 40, 4)
    assert world.write().lift().holdout
    for number in range(10):
        world.expose(f"u-held out-1-{number}", "B", 2)
    found = world.write().lift()
    assert "holdout shown" in {alarm.name for alarm in found.alarms if alarm.fires}
    assert found.is_open
    assert found.holdout == []


def test_late_decisions_of_one_arm_are_a_latency_bias(world: World) -> None:
    world.begin().end()
    for arm in ("A", "B"):
        for number in range(100):
            world.person(f"{arm}{number}", arm, 1, shown=True, late=arm == "B" and number < 40)
    assert world.write().lift().verdict == "invalid: latency bias"


def test_arms_that_differ_among_people_who_saw_nothing_are_a_latency_bias(world: World) -> None:
    world.begin().end()
    for arm, converting in (("A", 5), ("B", 60)):
        for number in range(200):
            seen = number >= 100
            world.person(f"{arm}{number}", arm, 1, shown=seen, converts=number < converting)
    found = world.write().lift()
    assert found.verdict == "invalid: latency bias in outcomes"
    assert found.metrics == []
