"""The kill drill on a running worker, and how it judges what it saw."""

from typing import Any

import pytest

from app.drill.commands import DEFAULT_SIGNAL
from app.drill.kill import Plan, Round, end_drill, kill_drill, measure
from app.drill.report import quantile
from app.drill.watch import Seen
from app.errors import CallerError, OperatorError
from app.governance import drafts
from app.governance.keys import load_key
from app.governance.log import fold_all
from app.governance.writer import Appended
from tests.worker.house import House
from tests.worker.policies import HERO, NUDGE
from tests.worker.process import WorkerProcess

KILLS = 5


def plan(**changes: Any) -> Plan:
    return Plan(NUDGE, KILLS, 100, 2, DEFAULT_SIGNAL)._replace(**changes)


@pytest.mark.kafka
async def test_a_drill_kills_measures_and_leaves_the_policy_running(house: House, worker: WorkerProcess) -> None:
    report = await kill_drill(house.settings, load_key(house.settings, "ann"), plan())
    assert report.outrun == 0
    assert report.clocks_differ_ms == 0
    assert len(report.figures) == KILLS * 2
    assert report.signals > 0
    assert all(0 <= figure.decided_ms <= figure.visible_ms for figure in report.figures)
    log = (await fold_all(house.settings)).state.policies[NUDGE]
    assert (log.drill, log.current is not None and log.current.state) == (False, "active")


@pytest.mark.kafka
async def test_a_drill_without_a_worker_says_so_and_writes_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.drill.kill.DECIDED_SECONDS", 0.5)
    before = (await fold_all(house.settings)).seq
    with pytest.raises(OperatorError) as caught:
        await kill_drill(house.settings, load_key(house.settings, "ann"), plan())
    assert "truelift worker" in str(caught.value)
    assert (await fold_all(house.settings)).seq == before


@pytest.mark.kafka
async def test_a_drill_refuses_what_treats_nobody_and_ends_what_was_left_open(house: House) -> None:
    ann = load_key(house.settings, "ann")
    for changes in ({"policy": "no_such"}, {"policy": HERO}, {"template": {"context": {"route": "/elsewhere"}}}):
        with pytest.raises(CallerError):
            await kill_drill(house.settings, ann, plan(**changes))
    with pytest.raises(CallerError):
        await end_drill(house.settings, ann, NUDGE)

    await house.write(drafts.drill(NUDGE, "begin"))
    await house.write(drafts.kill(NUDGE, drill=True))
    with pytest.raises(CallerError) as caught:
        await kill_drill(house.settings, ann, plan())
    assert "truelift drill end" in str(caught.value)
    await end_drill(house.settings, ann, NUDGE)
    log = (await fold_all(house.settings)).state.policies[NUDGE]
    assert (log.drill, log.current is not None and log.current.state) == (False, "active")


def test_a_record_treated_under_the_kill_is_counted_and_one_decided_before_it_is_measured() -> None:
    def seen(offset: int, governance_offset: int, visible_us: int, *, treated: bool = True) -> Seen:
        reason = "assigned" if treated else "killed"
        return Seen(0, offset, governance_offset, reason, treated, visible_us - 10_000, visible_us)

    def at(offset: int, append_us: int) -> Any:
        return Appended(None, offset, append_us)  # type: ignore[arg-type]

    before, by_kill = [seen(1, 4, 990_000), seen(2, 4, 1_030_000)], seen(3, 5, 1_035_000, treated=False)
    after = seen(9, 6, 1_500_000)  # by the resume
    sound = Round(at(5, 1_000_000), at(6, 1_400_000), 995_000, 1_005_000, [*before, by_kill, after])
    figure = measure(0, 0, sound, 1_000_000)
    assert (figure.visible_ms, figure.decided_ms, figure.outrun) == (30.0, 20.0, 0)
    outrun = sound._replace(records=[*before, by_kill, seen(4, 5, 1_050_000), after])
    figure = measure(0, 0, outrun, 1_000_000)
    assert (figure.visible_ms, figure.outrun) == (50.0, 1)
    assert measure(0, 1, sound, 1_000_000).visible_ms == 0


def test_a_quantile_is_the_least_value_that_so_many_do_not_exceed() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert [quantile(hundred, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert quantile([7.0], 0.99) == 7.0
