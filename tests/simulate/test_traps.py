"""The traps, with few repetitions: the dashboard is fooled, ours is not; without the guard, ours is fooled too."""

from pathlib import Path

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from app import cli
from app.simulate.peeking import NAIVE, peeking
from app.simulate.people import People
from app.simulate.trap import Played, Trap, World
from app.simulate.traps import TRAPS, ramp_mix
from app.simulate.trial import Tried, tried
from app.simulate.wanted import failures
from app.simulate.written import experiment

REPETITIONS, PEEKS = 80, 400
BY_NAME = {trap.name: trap for trap in TRAPS}


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_the_dashboard_is_fooled_and_ours_is_not(trap: Trap) -> None:
    assert failures([tried(trap, REPETITIONS, 1)], [], REPETITIONS) == []


def test_looks_every_day_fool_who_has_no_plan_and_nobody_else() -> None:
    found = peeking(PEEKS, 1)
    assert failures([], found, PEEKS) == []
    assert found[0].rule == NAIVE
    assert found[0].false_positives > max(rule.false_positives for rule in found[1:])


def test_the_same_seed_gives_the_same_figures_and_another_gives_others() -> None:
    trap = BY_NAME["rerolls"]
    assert tried(trap, 20, 7) == tried(trap, 20, 7)
    assert tried(trap, 20, 7) != tried(trap, 20, 8)
    assert peeking(20, 7) == peeking(20, 7)


def test_without_strata_a_ramp_fools_ours_as_well() -> None:
    def pooled(people: People, random: np.random.Generator, world: World) -> Played:
        played = ramp_mix(people, random, world)
        return played._replace(written=played.written._replace(stratum=played.written.stratum * 0))

    blind = BY_NAME["ramp-mix"]._replace(play=pooled, found=experiment((0.4,)))
    assert tried(blind, REPETITIONS, 1).rejects > 0.5


@pytest.mark.parametrize(
    ("world", "figure", "share", "says"),
    [
        ("tempted", "naive_rejects", 0.0, "the dashboard is fooled in 0.0% only"),
        ("tempted", "rejects", 0.5, "ours rejects 50.0%"),
        ("broken", "named", 0.5, "the alarm fires in 50.0% only"),
        ("clean", "named", 0.2, "the alarm fires on clean data in 20.0%"),
    ],
)
def test_what_does_not_hold_is_said(world: World, figure: str, share: float, says: str) -> None:
    outcome = tried(BY_NAME["rerolls"], 20, 1)
    worlds: dict[World, Tried] = {**outcome.worlds, world: outcome.worlds[world]._replace(**{figure: share})}
    many = outcome._replace(repetitions=1_000, worlds=worlds)
    assert any(says in failure for failure in failures([many], [], 1_000))


def test_the_command_writes_a_report_of_all_ten(tmp_path: Path) -> None:
    file = tmp_path / "traps.md"
    result = CliRunner().invoke(cli.app, ["simulate", "all", "--repetitions", "30", "--report", str(file), "--json"])
    assert result.exit_code == 0, result.output
    found = orjson.loads(result.stdout)
    assert len(found["traps"]) == 9
    assert len(found["peeking"]) == 6
    text = file.read_text()
    assert all(f"| {trap.name} |" in text for trap in TRAPS)
    assert "Peeking" in text


def test_an_unknown_trap_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["truelift", "simulate", "mirage"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "there is no trap 'mirage'" in capsys.readouterr().err
