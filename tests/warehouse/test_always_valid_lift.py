"""stop_rules with `boundary: always_valid`: after the minimum any moment is a look, and each is in the log first."""

from typing import Any

import pytest
from rich.console import Console

from app.analysis.experiment import stories
from app.analysis.inputs import Arm
from app.analysis.lift_report import LiftReport
from app.analysis.lift_screen import show
from app.analysis.looked import LookRecord, due
from app.analysis.sequential import sequential
from app.warehouse.lake import opened
from app.warehouse.store import Store
from tests.warehouse.world import World, policy, primary

RULES = {"min_days": 7, "horizon_days": 28, "min_exposed_per_arm": 100, "looks_utc": "daily 06:00",
         "boundary": "always_valid", "alpha": 0.05}  # fmt: skip


def running(world: World, converting: int, people: int = 400, **changes: Any) -> World:
    world.begin(policy(stop_rules=RULES | changes))
    return world.arm("A", people, people // 5).arm("B", people, converting).write()


def record_of(world: World, report: LiftReport) -> LookRecord | None:
    with Store.open(world.settings) as store, opened(store, world.settings.warehouse() / "spill") as lake:
        lake.use_raw()
        return due(stories(lake), report, by_hand=False, blinded=True, named=None)


def test_before_the_minimum_nothing_is_compared_and_then_at_any_moment(world: World) -> None:
    running(world, 80)
    early = world.lift(at=6.9)
    assert (early.verdict, early.is_open) == ("not yet", False)
    for at in (7.5, 8.123, 19.77):
        found = world.lift(at=at)
        assert (found.is_open, found.look, found.looks, found.level) == (True, None, None, 0.05)
        assert found.because == "always valid: a look at any time, which spends nothing"
        assert found.verdict == "inconclusive"


def test_each_look_is_a_record_of_its_own_moment(world: World) -> None:
    running(world, 80)
    records = [record_of(world, world.lift(at=at)) for at in (7.5, 8.123)]
    assert [record.body["planned"] for record in records if record is not None] == [True, True]
    assert len({record.body["at"] for record in records if record is not None}) == 2
    assert record_of(world, world.lift(at=3)) is None


def test_looks_before_cost_nothing(world: World) -> None:
    """A sequence that is narrow at thousands of people is wide at hundreds: only a large effect convinces so early."""
    running(world, 240)
    before = world.lift(at=9.5)
    for at in (8.0, 8.5, 9.0):
        world.govern("looked", at)  # at everything until then, and in no plan
    world.write()
    after = world.lift(at=9.5)
    assert (after.level, after.verdict) == (before.level, before.verdict)
    assert after.verdict.startswith("B better by ")


def test_the_interval_is_that_of_the_sequence_and_wider_than_of_a_single_look(world: World, without: Any) -> None:
    found = primary(running(world, 120).lift(at=9)).effect
    assert found is not None
    assert found.difference_ci is not None
    assert found.difference_ci == pytest.approx(sequential(Arm(80, 400), Arm(120, 400)).ci, rel=2e-2)
    low, high = found.difference_ci
    assert high - low > 2 * 1.96 * found.error


def test_what_convinces_a_single_look_does_not_convince_at_all_times(world: World) -> None:
    """z is 2.7: beyond 1.96, and within what watching every day brings by chance."""
    assert running(world, 112).lift(at=9).verdict == "inconclusive"


def test_too_few_people_are_no_verdict_and_the_last_moment_is_the_horizon(world: World) -> None:
    running(world, 80, min_exposed_per_arm=1_000)
    assert world.lift(at=9).verdict == "not yet"
    assert world.lift(at=400).looked_at.startswith("2026-02-02")


def test_the_screen_says_so(world: World) -> None:
    console = Console(width=120)
    with console.capture() as captured:
        show(running(world, 80).lift(at=9), console)
    assert "always valid" in captured.get()
