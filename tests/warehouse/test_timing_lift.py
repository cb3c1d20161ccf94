"""Timing as a treatment: instant against timed to intent, by the same rules as any other treatment."""

from typing import Any

import pytest
from rich.console import Console

from app.analysis.lift_screen import show
from app.analysis.timings import in_words
from app.contract.policy import Timing
from tests.warehouse.world import ACTION, World, policy, primary

INTENT = {"wait_for": {"event": "feature_used"}, "expires_seconds": 86_400}
RULES = {"min_days": 7, "horizon_days": 14, "min_exposed_per_arm": 100, "looks_utc": "daily 06:00",
         "boundary": "obrien_fleming", "alpha": 0.05}  # fmt: skip


def timed(**changes: Any) -> dict[str, Any]:
    """A at once, B when the intent shows. Both do the same."""
    later = {"key": "B", "weight": 0.5, "action": ACTION, "timing": INTENT}
    return policy(variants=[policy()["variants"][0], later]) | changes


def people(world: World, instant: int, converting: int) -> World:
    """Of 400 an arm: instant shows it to all, and so many convert; timed only to the 200 who come back."""
    world.arm("A", 400, instant)
    for number in range(400):
        world.person(f"b{number}", "B", 1, shown=number < 200, converts=number < converting)
    return world.write()


def test_everybody_assigned_is_compared_so_that_who_came_back_makes_no_lift(world: World) -> None:
    found = people(world.begin(timed()).end(), instant=80, converting=80).lift()
    assert found.claim == "assigned"
    assert found.timings is not None
    assert found.timings.by_arm == {"A": "instant", "B": "timed to intent (feature_used within 1 d)"}
    assert found.timings.alone
    itt, exposed = primary(found, "assigned"), primary(found, "exposed")
    assert itt.effect is not None
    assert itt.effect.difference == 0
    assert itt.verdict == "inconclusive"
    # Those alone who were shown it: twice as many conversions, of people who came back for a reason of their own.
    assert exposed.effect is not None
    assert exposed.effect.relative == pytest.approx(1.0)
    assert exposed.verdict is None


def test_slower_may_beat_instant(world: World) -> None:
    found = people(world.begin(timed()).end(), instant=80, converting=140).lift()
    assert found.verdict.startswith("B better by ")


def test_timing_is_looked_at_by_the_plan_like_everything_else(world: World) -> None:
    people(world.begin(timed(stop_rules=RULES)), instant=80, converting=140)
    assert world.lift(at=3).verdict == "not yet"
    assert not world.lift(at=3).is_open
    found = world.lift(at=9)
    assert (found.look, found.is_open) == (2, True)
    assert found.level is not None
    assert found.level < 0.05


def test_arms_that_also_do_otherwise_are_no_lift_of_the_timing_alone(world: World) -> None:
    variants = timed()["variants"]
    other = variants[1] | {"action": ACTION | {"component": "tip"}}
    found = people(world.begin(timed(variants=[variants[0], other])).end(), instant=80, converting=80).lift()
    assert found.timings is not None
    assert not found.timings.alone
    console = Console(width=120)
    with console.capture() as captured:
        show(found, console)
    assert "no lift of the timing alone" in " ".join(captured.get().split())


def test_arms_that_act_at_the_same_time_have_no_timing_to_tell_of(world: World) -> None:
    found = world.begin(policy()).end().arm("A", 20, 4).arm("B", 20, 4).write().lift()
    assert found.timings is None
    assert found.as_json()["timings"] is None


@pytest.mark.parametrize(
    ("timing", "words"),
    [
        ({}, "instant"),
        ({"delay_seconds": 90}, "after 90 s"),
        ({"delay_seconds": 7_200}, "after 2 h"),
        (INTENT | {"delay_seconds": 60}, "timed to intent (feature_used within 1 d), after 1 min"),
    ],
)
def test_when_an_arm_acts_is_said_in_words(timing: dict[str, Any], words: str) -> None:
    assert in_words(Timing.model_validate(timing)) == words
