"""At a login an assignment of a single decision yields to one that binds, and is nobody's crossover."""

from typing import Any

import pytest

from app.engine.former import OF_DECISION
from app.engine.identity.settle import Given, settle
from tests.engine.models.test_per_decision import chooser
from tests.engine.world import snapshot


def row(variant: str | None, **more: Any) -> dict[str, Any]:
    held = variant is None
    made = {
        "assignment_id": f"{variant}{sorted(more)}",
        "variant": variant,
        "holdout": held,
        "exposed_us": None,
        "served": {"x": 1},
    }
    return made | more


def for_one(variant: str, **more: Any) -> dict[str, Any]:
    return row(variant, **{OF_DECISION: True}, **more)


KEPT_A, KEPT_B, ONE_A, ONE_B, HELD = row("A"), row("B"), for_one("A"), for_one("B", other=1), row(None)


@pytest.mark.parametrize(
    ("mine", "theirs", "verdict", "kept", "aside"),
    [
        (ONE_A, ONE_B, "agreed", ONE_A, (ONE_B,)),
        (None, ONE_B, "adopted", ONE_B, ()),
        (ONE_A, KEPT_B, "adopted", KEPT_B, (ONE_A,)),
        (KEPT_B, ONE_A, "agreed", KEPT_B, (ONE_A,)),
        (ONE_A, HELD, "held_out", HELD, (ONE_A,)),
        (HELD, ONE_A, "held_out", HELD, (ONE_A,)),
        (KEPT_A, KEPT_B, "crossover", KEPT_A, (KEPT_B,)),
    ],
)
def test_what_binds_wins(mine: Any, theirs: Any, verdict: str, kept: Any, aside: Any) -> None:
    policies = snapshot(chooser())
    own = Given({} if mine is None else {"p": mine}, {})
    given, (settled,) = settle(own, Given({"p": theirs}, {}), "anon:d", policies)
    assert (settled.verdict, settled.kept, settled.aside) == (verdict, kept, aside)
    assert given.assignments["p"].get("made_for") == (None if kept is mine else "anon:d")


def test_held_out_by_the_other_side_it_binds_from_then_on() -> None:
    policies = snapshot(chooser(holdout="global"))
    given, (settled,) = settle(Given({"p": ONE_A}, {}), Given({"p": ONE_B}, {"global": True}), "anon:d", policies)
    assert settled.verdict == "held_out"
    assert given.assignments["p"]["holdout"]
    assert OF_DECISION not in given.assignments["p"]
