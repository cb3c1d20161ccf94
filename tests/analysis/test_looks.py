"""The plan of looks: when they are, and that whatever comes in between leaves the error rate where it was promised."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from app.analysis.boundaries import boundary_at
from app.analysis.looks import Look, StopRules, look_plan
from app.errors import CallerError

STARTED = datetime(2026, 11, 2, 10, 30, tzinfo=UTC)  # a Monday
KINDS = ("obrien_fleming", "pocock", "lan_demets")


def rules(**changes: Any) -> StopRules:
    return StopRules(7, 28, 1000, (6, 0), "obrien_fleming", 0.05)._replace(**changes)


def test_looks_are_daily_from_the_first_whole_week_to_the_horizon() -> None:
    planned = look_plan(rules(), STARTED).planned

    assert planned[0] == datetime(2026, 11, 10, 6, 0, tzinfo=UTC)
    assert planned[1] - planned[0] == timedelta(days=1)
    assert planned[-2:] == (datetime(2026, 11, 30, 6, 0, tzinfo=UTC), datetime(2026, 11, 30, 10, 30, tzinfo=UTC))


@pytest.mark.parametrize(("min_days", "first"), [(1, 7), (7, 7), (8, 14), (15, 21)])
def test_a_minimum_duration_is_whole_weeks(min_days: int, first: int) -> None:
    assert look_plan(rules(min_days=min_days), STARTED).planned[0] >= STARTED + timedelta(days=first)


def test_a_horizon_shorter_than_the_whole_weeks_is_refused() -> None:
    with pytest.raises(CallerError, match="ends before 2 whole weeks"):
        look_plan(rules(min_days=8, horizon_days=10), STARTED)


def test_looks_made_as_planned_with_even_traffic_have_the_printed_boundary() -> None:
    plan = look_plan(rules(boundary="pocock"), STARTED)
    times = [(at - STARTED) / (plan.planned[-1] - STARTED) for at in plan.planned]
    looks = [Look(at, 1000 * time) for at, time in zip(plan.planned, times, strict=True)]

    assert plan.limits(looks) == pytest.approx(boundary_at("pocock", times).z, abs=1e-6)


def test_limits_already_applied_do_not_move_when_later_looks_come() -> None:
    plan = look_plan(rules(), STARTED)
    looks = [Look(at, 10.0 * number**2) for number, at in enumerate(plan.planned, start=1)]

    assert plan.limits(looks)[:9] == pytest.approx(plan.limits(looks[:9]), abs=1e-6)


def test_a_look_by_hand_before_the_minimum_duration_can_hardly_reject_and_leaves_less_to_the_others() -> None:
    plan = look_plan(rules(boundary="pocock"), STARTED)
    by_hand = Look(STARTED + timedelta(days=2), 200)
    planned = [Look(at, 100 * (at - STARTED) / timedelta(days=1)) for at in plan.planned[:3]]

    with_it = plan.limits([by_hand, *planned])
    assert with_it[0] > 2.5
    assert with_it[1] > plan.limits(planned)[0]


def test_two_looks_by_hand_at_one_moment_cost_no_more_than_one() -> None:
    plan = look_plan(rules(), STARTED)
    moment = plan.planned[3]
    looks = [Look(moment, 100), Look(moment + timedelta(microseconds=1), 101)]

    assert plan.limits(looks)[1] > 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("traffic", ["even", "ramp", "missed"])
def test_without_an_effect_one_experiment_in_twenty_is_called_whatever_the_traffic(kind: str, traffic: str) -> None:
    plan = look_plan(rules(boundary=kind), STARTED)
    days = np.array([(at - STARTED) / timedelta(days=1) for at in plan.planned])
    information = np.where(days < 14, 100 * days, 1400 + 500 * (days - 14)) if traffic == "ramp" else 100 * days
    made = slice(None, None, 3) if traffic == "missed" else slice(None)
    information, planned = information[made], plan.planned[made]
    limits = plan.limits([Look(at, amount) for at, amount in zip(planned, information, strict=True)])
    steps = np.random.default_rng(5).standard_normal((20_000, len(information))) * np.sqrt(np.diff([0, *information]))
    z = np.abs(steps.cumsum(axis=1)) / np.sqrt(information)

    rejected = (z >= limits).any(axis=1).mean()
    assert rejected <= 0.055
    assert rejected >= 0.04


def test_fixed_calendar_limits_would_err_more_often_where_the_traffic_ramps() -> None:
    """The negative control: limits for even traffic, with users who came mostly at the end of the looks."""
    plan = look_plan(rules(boundary="pocock"), STARTED)
    days = np.array([(at - STARTED) / timedelta(days=1) for at in plan.planned])
    limits = plan.limits([Look(at, day) for at, day in zip(plan.planned, days, strict=True)])
    information = days**6
    steps = np.random.default_rng(6).standard_normal((20_000, len(days))) * np.sqrt(np.diff([0, *information]))

    assert (np.abs(steps.cumsum(axis=1)) / np.sqrt(information) >= limits).any(axis=1).mean() > 0.06


def test_the_next_planned_look_is_known_until_the_horizon() -> None:
    plan = look_plan(rules(), STARTED)

    assert plan.next_after(STARTED) == plan.planned[0]
    assert plan.next_after(plan.planned[0]) == plan.planned[1]
    assert plan.next_after(plan.planned[-1]) is None
    assert plan.is_planned(plan.planned[4])
    assert not plan.is_planned(plan.planned[4] + timedelta(minutes=1))


def test_what_is_due_grows_from_nothing_to_alpha() -> None:
    plan = look_plan(rules(), STARTED)
    due = [plan.due_at(STARTED + timedelta(hours=hour)) for hour in range(0, 30 * 24, 5)]

    assert due == sorted(due)
    assert (due[0], due[-1]) == (0, 0.05)


def test_looks_out_of_order_and_looks_at_nothing_new_are_refused() -> None:
    plan = look_plan(rules(), STARTED)
    first, second = Look(plan.planned[0], 10), Look(plan.planned[1], 20)

    with pytest.raises(CallerError, match="order of time"):
        plan.limits([second, first])
    with pytest.raises(CallerError, match="a look at"):
        plan.limits([first, second._replace(information=10)])


def test_a_look_in_the_first_hour_can_reject_by_nothing_that_happens() -> None:
    plan = look_plan(rules(boundary="lan_demets", min_days=1), STARTED)

    assert plan.limits([Look(STARTED + timedelta(hours=1), 5)])[0] > 5
