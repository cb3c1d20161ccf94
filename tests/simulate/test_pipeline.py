"""Traps through a real broker and worker: what the warehouse holds is what was drawn, and a missing person is noticed."""

from collections.abc import Callable

import pytest
from rich.console import Console

from app.settings import Settings
from app.simulate.pipeline.agreement import agreement
from app.simulate.pipeline.report import as_json, show
from app.simulate.pipeline.rules import bodies
from app.simulate.pipeline.script import Script, script
from app.simulate.pipeline.site import through
from app.simulate.trap import Trap
from app.simulate.traps import TRAPS

PEOPLE = 120
BY_NAME = {trap.name: trap for trap in TRAPS}


@pytest.mark.kafka
def test_what_went_through_the_pipeline_is_what_was_drawn_and_a_person_left_out_is_missed(
    make_settings: Callable[..., Settings],
) -> None:
    timed, logins, silent = (
        script(BY_NAME[name], world, PEOPLE, 1)
        for name, world in (
            ("slower-or-instant", "tempted"), ("login-crossover", "tempted"), ("inferred-exposure", "broken"),
        )
    )  # fmt: skip
    lost = script(BY_NAME["rerolls"], "tempted", PEOPLE, 1)
    played = [timed, logins, silent, lost._replace(people=lost.people[1:])]
    found = [agreement(*pair) for pair in zip(played, through(played, make_settings(), lambda _: None), strict=True)]
    assert [one.differs for one in found[:3]] == [[], [], []]
    assert found[2].verdict == "invalid: an arm is never acknowledged"
    assert any("assigned" in difference for difference in found[3].differs)
    console = Console(width=140)
    with console.capture() as captured:
        show(found, console)
    assert "differs: " in captured.get()
    assert [trap["trap"] for trap in as_json(found, 1)["traps"]] == [one.trap.name for one in played]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_a_script_is_of_the_people_whom_the_log_gets_to_know(trap: Trap) -> None:
    one = script(trap, "tempted", 300, 1)
    assert one.people == script(trap, "tempted", 300, 1).people
    assert one.people != script(trap, "tempted", 300, 2).people
    assert len(one.people) == int(one.played.written.there.sum())
    assert sum(person.renders > 0 for person in one.people) == int((one.played.written.there & one.played.written.shown).sum())
    assert {person.stratum for person in one.people} == set(range(len(bodies(trap, one.key))))
    assert 0.35 < share_of_b(one) < 0.65 or trap.name in ("ramp-mix", "redirect")


def share_of_b(one: Script) -> float:
    written = one.played.written
    return float(written.arm[written.there].mean())
