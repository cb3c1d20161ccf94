"""The rules of the join, a small world with a known answer for each; and the same without the rule, with another answer.

(people, mean) of the control and the treatment is what is compared.
"""

from tests.warehouse.conftest import Without
from tests.warehouse.world import World, conversions, day, measured, policy


def _four(world: World) -> World:
    """Two people in each arm, nobody converts, the experiment has ended: the smallest that has an estimate."""
    return world.begin().end().arm("A", 2, 0).arm("B", 2, 0)


# --- whose exposure, whose outcome ----------------------------------------------------------------------------------------


def test_an_exposure_belongs_to_its_assignment_whatever_key_it_came_with(world: World, without: Without) -> None:
    _four(world).decide("x", "B", 1).expose("x", "B", 1.1, unit="a key that nobody has").write()

    assert conversions(world.lift()) == [(2, 0), (3, 0)]
    assert conversions(without(world, "shown", "b.assignment_id = e.assignment_id", "FALSE")) == [(2, 0), (2, 0)]


def test_an_exposure_without_a_known_assignment_goes_by_unit_experiment_and_the_assignment_held_then(
    world: World, without: Without
) -> None:
    _four(world).decide("x", "B", 1).expose("x", "B", 1.1, assignment_id="lost on its way").write()

    assert conversions(world.lift()) == [(2, 0), (3, 0)]
    found = without(world, "shown", "t.person = coalesce(p.person, m.unit)", "FALSE")
    assert (conversions(found), found.left_out.exposures_without_decision) == ([(2, 0), (2, 0)], 1)


def test_an_exposure_of_another_arm_than_the_one_held_is_without_a_decision(world: World, without: Without) -> None:
    _four(world).decide("x", "A", 1).expose("x", "B", 1.1, assignment_id="lost on its way").write()

    found = world.lift()
    assert (conversions(found), found.left_out.exposures_without_decision) == ([(2, 0), (2, 0)], 1)
    assert conversions(without(world, "shown", " AND h.arm = m.variant")) == [(3, 0), (2, 0)]


def test_an_exposure_from_before_the_assignment_is_without_a_decision(world: World, without: Without) -> None:
    _four(world).decide("x", "B", 2).expose("x", "B", 1, assignment_id="lost on its way").write()

    assert world.lift().left_out.exposures_without_decision == 1
    assert without(world, "shown", " AND b.from_us <= m.decided_us").left_out.exposures_without_decision == 0


def test_an_outcome_without_a_known_assignment_goes_by_its_unit(world: World, without: Without) -> None:
    _four(world).person("x", "B").outcome("x", 2, assignment_id="lost on its way").write()

    assert conversions(world.lift()) == [(2, 0), (3, round(1 / 3, 9))]
    assert conversions(without(world, "outcome", "t.person = coalesce(p.person, m.unit)", "FALSE")) == [(2, 0), (3, 0)]


# --- which events count ---------------------------------------------------------------------------------------------------


def test_the_first_exposure_begins_the_window(world: World, without: Without) -> None:
    _four(world).person("x", "B", 1).outcome("x", 2).expose("x", "B", 3).write()

    assert conversions(world.lift()) == [(2, 0), (3, round(1 / 3, 9))]
    assert conversions(without(world, "population", "min(exposed_us)", "max(exposed_us)")) == [(2, 0), (3, 0)]


def test_an_outcome_before_the_exposure_is_none_of_it_but_counts_from_the_trigger(world: World, without: Without) -> None:
    _four(world).decide("x", "B", 1).outcome("x", 1.5).expose("x", "B", 2).write()

    found = world.lift()
    assert conversions(found) == [(2, 0), (3, 0)]
    assert conversions(found, "assigned") == [(2, 0), (3, round(1 / 3, 9))]
    assert conversions(without(world, "reacted", "AND o.at_us - p.since_us > $after_us")) == [(2, 0), (3, round(1 / 3, 9))]


def test_an_outcome_after_the_window_does_not_count(world: World, without: Without) -> None:
    _four(world).person("x", "B", 1).outcome("x", 8.5).write()

    assert conversions(world.lift()) == [(2, 0), (3, 0)]
    assert conversions(without(world, "reacted", "AND o.at_us - p.since_us <= $window_us")) == [(2, 0), (3, round(1 / 3, 9))]


def test_the_time_of_the_event_counts_not_that_of_its_arrival(world: World, without: Without) -> None:
    _four(world)
    for name in ("x", "y"):
        world.person(name, "B", 1).outcome(name, 30, ts=day(2))  # came weeks late
    world.person("z", "B", 2).outcome("z", 3, ts=day(1)).write()  # was before the exposure

    assert conversions(world.lift()) == [(2, 0), (5, 0.4)]
    assert conversions(without(world, "outcome", "arg_min(at_us, recorded_us)", "min(recorded_us)")) == [(2, 0), (5, 0.2)]


def test_a_repeated_event_counts_once_however_late_it_comes(world: World, without: Without) -> None:
    world.begin(policy(outcomes=measured("count"))).end().arm("A", 2, 0).arm("B", 1, 0).person("x", "B", 1)
    event = "6f1f8c1e-0d0e-4c55-9a51-0f6d3a0b7a11"
    world.outcome("x", 2, event_id=event).outcome("x", 60, ts=day(2), event_id=event).write()

    assert conversions(world.lift()) == [(2, 0), (2, 0.5)]
    counted_twice = without(world, "outcome", "GROUP BY person_id, event_id;", "GROUP BY person_id, event_id, recorded_us;")
    assert conversions(counted_twice) == [(2, 0), (2, 1)]


def test_a_second_exposure_of_an_assignment_adds_nobody_and_is_counted(world: World, without: Without) -> None:
    _four(world).person("x", "B", 1).expose("x", "B", 2).expose("x", "B", 3).write()

    found = world.lift()
    assert (conversions(found), found.left_out.duplicate_exposures) == ([(2, 0), (3, 0)], 2)
    assert conversions(without(world, "population", "  GROUP BY person_id\n", "  GROUP BY person_id, exposed_us\n"))[1][0] == 5


def test_what_was_recorded_after_the_look_does_not_count(world: World, without: Without) -> None:
    _four(world).decide("x", "B", 99).expose("x", "B", 101).write()  # it ended on day 100

    assert world.lift().arms[1].exposed == 2
    assert without(world, "shown", "AND unix_micros(e.recorded_ts) <= $until_us").arms[1].exposed == 3


# --- people who turn out to be one ----------------------------------------------------------------------------------------


def test_a_crossover_by_login_is_set_apart_and_counted(world: World, without: Without) -> None:
    _four(world).person("anon:d", "A", 1).person("u", "B", 2, converts=True).identify("d", "u", 2).write()

    found = world.lift()
    assert (conversions(found), found.left_out.crossovers) == ([(2, 0), (2, 0)], 1)
    kept = without(world, "population", "t.set_apart IS NULL AND ")
    assert conversions(kept) == [(3, round(1 / 3, 9)), (2, 0)]


def test_an_arm_on_one_side_and_the_holdout_on_the_other_is_a_crossover(world: World) -> None:
    _four(world).person("anon:d", "held out", 1).person("u", "B", 2).identify("d", "u", 2).write()

    found = world.lift()
    assert (conversions(found), found.left_out.crossovers) == ([(2, 0), (2, 0)], 1)


def test_a_person_drawn_twice_into_one_arm_is_set_apart_and_counted(world: World, without: Without) -> None:
    _four(world).person("anon:d", "B", 1).person("u", "B", 2).identify("d", "u", 2).write()

    found = world.lift()
    assert (conversions(found), found.left_out.re_identified) == ([(2, 0), (2, 0)], 1)
    assert conversions(without(world, "triggers", "(i.two_units AND i.two_assignments) OR ")) == [(2, 0), (3, 0)]


def test_an_assignment_that_a_login_carries_over_stays_one_person(world: World, without: Without) -> None:
    _four(world).person("anon:d", "B", 1).identify("d", "u", 2)
    carried = {"assignment_id": world.rows["decisions"][-1]["assignment_id"]}
    world.decide("u", "B", 2, sticky=True, **carried).outcome("u", 3, **carried).write()

    found = world.lift()
    assert (conversions(found, "assigned"), found.left_out.re_identified) == ([(2, 0), (3, round(1 / 3, 9))], 0)
    unlinked = without(world, "asked", "LEFT JOIN people AS p ON p.unit = d.unit", "LEFT JOIN people AS p ON FALSE")
    assert unlinked.left_out.re_identified == 2


def test_people_who_share_a_device_are_set_apart(world: World, without: Without) -> None:
    _four(world).person("anon:d", "B", 1).identify("d", "u", 2).identify("d", "v", 3)
    carried = {"assignment_id": world.rows["decisions"][-1]["assignment_id"]}
    world.decide("u", "B", 2, **carried).decide("v", "B", 3, **carried).write()

    found = world.lift()
    assert (conversions(found, "assigned"), found.left_out.re_identified) == ([(2, 0), (2, 0)], 3)
    assert (
        without(
            world, "triggers", "WHERE ambiguous OR assignment_id IN", "WHERE FALSE AND assignment_id IN"
        ).left_out.re_identified
        == 0
    )


def test_a_unit_that_a_version_reassigned_is_set_apart_and_counted(world: World) -> None:
    world.begin().begin(policy(reassign=True), 10, version=2).end(version=2).arm("A", 2, 0).arm("B", 2, 0)
    world.person("x", "A", 1).person("x", "B", 11, rule_version=2).write()

    found = world.lift()
    assert (conversions(found), found.left_out.reassigned) == ([(2, 0), (2, 0)], 1)


# --- what is never in a lift ----------------------------------------------------------------------------------------------


def test_a_drill_leaves_no_trace(world: World, without: Without) -> None:
    _four(world).govern("drill", 5, body='{"state":"begin"}').govern("drill", 6, body='{"state":"end"}')
    world.person("in", "B", 5.5, converts=True)  # assigned and shown meanwhile
    world.decide("shown", "B", 4).expose("shown", "B", 5.5)
    world.person("did", "B", 4).outcome("did", 5.5).write()

    assert conversions(world.lift()) == [(2, 0), (3, 0)]
    assert conversions(world.lift(), "assigned") == [(2, 0), (4, 0)]
    no_drill = without(world, "drills", "WHERE state = 'begin'", "WHERE FALSE")
    assert conversions(no_drill) == [(2, 0), (5, 0.4)]


def test_shadow_decisions_are_in_no_lift_and_the_first_live_one_is_the_trigger(world: World, without: Without) -> None:
    world.begin(policy(mode="shadow"), 0).begin(policy(), 10, version=2).end(version=2)
    world.arm("A", 2, 0, at=11, rule_version=2).arm("B", 2, 0, at=11, rule_version=2)
    world.decide("never again", "B", 1, mode="shadow")
    world.decide("back", "B", 1, mode="shadow").outcome("back", 2).decide("back", "B", 12, sticky=True).write()

    assert conversions(world.lift(), "assigned") == [(2, 0), (2, 0)]  # alone in its stratum, so compared with nobody
    assert world.lift().arms[1].assigned == 3
    assert without(world, "asked", "AND d.mode = 'live'").arms[1].assigned == 4


def test_personalization_is_in_no_lift(world: World, without: Without) -> None:
    _four(world).decide("x", "B", 1, kind="personalization").write()

    assert conversions(world.lift(), "assigned") == [(2, 0), (2, 0)]
    assert conversions(without(world, "asked", "AND d.kind = 'experiment'"), "assigned") == [(2, 0), (3, 0)]


# --- strata, the holdout, time --------------------------------------------------------------------------------------------


def _ramp(world: World) -> World:
    """Weights that changed with a version, while the population got colder: within each version the arms are equal."""
    weights = [{**variant, "weight": weight} for variant, weight in zip(policy()["variants"], (0.2, 0.8), strict=True)]
    world.begin(policy(variants=weights)).begin(policy(), 10, version=2).end(version=2)
    world.arm("A", 20, 10).arm("B", 80, 40)
    return world.arm("A", 50, 5, at=11, rule_version=2, phase=9).arm("B", 50, 5, at=11, rule_version=2, phase=9).write()


def test_a_change_of_the_mix_is_no_effect(world: World, without: Without) -> None:
    _ramp(world)

    assert conversions(world.lift()) == [(70, 0.3), (130, 0.3)]
    assert without(world, "population", "t.rule_version, t.phase", "1, 1").verdict == "invalid: sample ratio mismatch"


def test_against_the_holdout_only_those_count_who_were_assigned_when_first_asked(world: World, without: Without) -> None:
    world.begin().end().arm("held out", 4, 1, at=1).arm("A", 2, 0, at=1).arm("B", 2, 1, at=1)
    for number in range(4):  # asked before the ramp covered them, and keen enough to come back
        world.decide(f"late{number}", None, 0.5).person(f"late{number}", "B" if number % 2 else "A", 1, converts=True)
    world.write()

    found = world.lift()
    assert found.holdout[0].comparisons[0].effect is not None
    assert found.holdout[0].comparisons[0].effect.means == (0.25, 0.25)
    assert found.left_out.covered_later == 4
    biased = (
        without(world, "triggers", "e.asked_us IS NULL OR e.asked_us >= g.from_us", "TRUE").holdout[0].comparisons[0].effect
    )
    assert biased is not None
    assert biased.means == (0.25, 0.625)


def test_treated_minus_held_out_is_told_day_by_day(world: World) -> None:
    world.begin().end().arm("held out", 4, 1, at=1).arm("A", 4, 1, at=1).arm("B", 4, 1, at=1)
    world.arm("held out", 4, 1, at=2).arm("A", 4, 3, at=2).arm("B", 4, 3, at=2).write()

    days = [(found.day, found.treated, found.held_out, found.difference) for found in world.lift().over_time]
    assert days == [("2026-01-06", 8, 4, 0.0), ("2026-01-07", 8, 4, 0.5)]


def test_exposed_and_intention_to_treat_stand_side_by_side(world: World) -> None:
    world.begin().end().arm("A", 4, 2).arm("B", 4, 2)
    for arm in ("A", "B"):
        for number in range(4):
            world.decide(f"late{arm}{number}", arm, 1)
    world.write()

    found = world.lift()
    assert conversions(found) == [(4, 0.5), (4, 0.5)]
    assert conversions(found, "assigned") == [(8, 0.25), (8, 0.25)]
    assert [(comparison.population, comparison.verdict is None) for comparison in found.metrics[0].comparisons] == [
        ("exposed", False), ("assigned", True),
    ]  # fmt: skip
