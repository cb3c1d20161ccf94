"""A look of the console: what may be drawn of the looks before it, and that it is recorded first. Without a broker."""

import time
from pathlib import Path
from typing import Any

import pytest

from app.analysis.experiment import Story, stories
from app.console.looking import Looked, kept_course, measure
from app.contract.times import parse_us
from app.errors import CallerError, OperatorError
from app.settings import Settings
from app.warehouse.lake import opened
from app.warehouse.store import Store
from tests.warehouse.world import DAY_US, KEY, START_US, World, policy

RULES = {"min_days": 7, "horizon_days": 28, "min_exposed_per_arm": 100, "looks_utc": "daily 06:00",
         "boundary": "obrien_fleming", "alpha": 0.05}  # fmt: skip
DAYS_AGO = 12.3


class Laid(World):
    """Begun so many days ago by the real clock, in its looks now."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        super().__init__(folder)
        begun = (time.time_ns() / 1_000 - START_US) / DAY_US - DAYS_AGO
        self.begin(policy(**{"stop_rules": RULES, "ramp": [100, 1_000], "coverage_permille": 100} | changes), at=begun)
        self.govern("ramped", begun + 2, body='{"coverage_permille": 1000}')
        self.arm("A", 150, 15, at=begun + 1).arm("B", 150, 60, at=begun + 1).write()

    def told(self) -> dict[str, Story]:
        with Store.open(self.settings) as store, opened(store, self.settings.warehouse() / "spill") as lake:
            return stories(lake)

    def look(self, told: dict[str, Story]) -> Looked:
        return measure(self.settings, KEY, told, time.time_ns() // 1_000)


@pytest.fixture
def laid(tmp_path: Path) -> Laid:
    return Laid(tmp_path)


def times(found: Looked) -> list[int]:
    return [one.at_us for one in found.seen]


def test_while_it_runs_a_look_must_be_recorded_and_no_other_is_drawn(laid: Laid) -> None:
    found = laid.look(laid.told())
    assert found.record is not None
    assert found.record.body["planned"] is True
    assert times(found) == [parse_us(found.report.looked_at)]


def test_while_it_runs_the_looks_of_the_log_are_drawn_with_it(laid: Laid) -> None:
    told = laid.told()
    first = laid.look(told).course.planned[0][0]
    told[KEY].looks[first] = True
    found = laid.look(told)
    assert times(found) == [first, parse_us(found.report.looked_at)]
    told[KEY].looks[parse_us(found.report.looked_at)] = True
    assert laid.look(told).record is None, "what the log has is not written again"


def test_when_it_is_over_all_planned_looks_are_open_to_everybody(laid: Laid) -> None:
    told = laid.told()
    told[KEY].versions[1].state = "retired"
    found = laid.look(told)
    assert found.record is None
    assert times(found) == [at for at, _ in found.course.planned if at <= parse_us(found.report.looked_at)]
    assert len(times(found)) > 1


def test_before_the_first_look_nothing_is_compared_and_nothing_drawn(tmp_path: Path) -> None:
    laid = Laid(tmp_path, stop_rules=RULES | {"min_days": 14})
    found = laid.look(laid.told())
    assert (found.seen, found.record, found.report.is_open) == ([], None, False)


def test_the_course_has_the_ramp_as_it_was_and_the_boundary_of_the_plan(laid: Laid) -> None:
    course = laid.look(laid.told()).course
    assert [permille for _, permille in course.steps] == [100, 1_000]
    limits = [limit for _, limit in course.planned if limit is not None]
    assert limits == sorted(limits, reverse=True), "O'Brien and Fleming ask for less from look to look"
    assert len(limits) == len(course.planned)
    assert kept_course({**course._asdict()}) == course


def test_an_unknown_policy_and_a_warehouse_that_was_never_filled_are_named(laid: Laid, tmp_path: Path) -> None:
    with pytest.raises(CallerError):
        measure(laid.settings, "nobody", laid.told(), time.time_ns() // 1_000)
    with pytest.raises(OperatorError, match="warehouse sync"):
        measure(Settings(data_dir=tmp_path / "empty"), KEY, laid.told(), time.time_ns() // 1_000)
