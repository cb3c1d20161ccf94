"""What the pictures show, and what they leave out."""

import re

import pytest

from app.console.markup import Html
from app.console.pictures.course import DAY_US, Course, Seen, intervals, legend, ramp_and_looks
from app.console.pictures.flow import Stop, flow
from app.console.pictures.heat import CELL_HEIGHT, SHARES, heat
from app.console.pictures.simple import area, bars, ramp
from app.console.quantiles import BIN_RATIO, bin_of, milliseconds_of, percentile

PLANNED = tuple((day * DAY_US, 4.0 - day / 10) for day in range(7, 29, 7))
COURSE = Course(0, 28 * DAY_US, PLANNED, ((0, 100), (3 * DAY_US, 1_000)), ((20 * DAY_US, "paused by guardian"),))
SEEN = [Seen(us, arm, 2.5, limit, 0.1, -0.02, 0.22, True) for us, limit in PLANNED[:2] for arm in ("B", "C")]


def drawn(picture: Html, shape: str, class_: str) -> list[str]:
    return [found for found in re.findall(rf"<{shape} [^>]*>", picture) if re.search(rf'class="[^"]*\b{class_}\b', found)]


def test_the_interval_is_drawn_at_looks_alone_one_for_each_arm() -> None:
    picture = intervals(COURSE, SEEN, 15 * DAY_US)
    assert len(drawn(picture, "line", "interval")) == len(SEEN)
    assert len({re.search(r'x1="([\d.]+)"', line)[1] for line in drawn(picture, "line", "interval")}) == len(SEEN)  # type: ignore[index]
    assert drawn(picture, "polyline", "stroke") == [], "nothing joins two looks"
    assert "-2 % to +22 %" in picture


def test_the_ramp_has_every_planned_look_each_step_and_each_halt() -> None:
    picture = ramp_and_looks(COURSE, SEEN, 15 * DAY_US)
    assert len(drawn(picture, "line", "tick")) == len(PLANNED)
    assert len(drawn(picture, "polyline", "limit")) == 2, "above and below"
    assert len(drawn(picture, "line", "halt")) == 1
    assert "paused by guardian" in picture
    assert "100 ‰" in picture
    assert "1000 ‰" in picture
    assert ">now<" in picture
    assert ">now<" not in ramp_and_looks(COURSE, SEEN, 40 * DAY_US)


def test_without_a_plan_there_is_no_boundary_and_still_a_ramp() -> None:
    picture = ramp_and_looks(COURSE._replace(planned=()), [], 15 * DAY_US)
    assert drawn(picture, "polyline", "limit") == drawn(picture, "line", "tick") == []
    assert "100 ‰" in picture


def test_arms_differ_in_shape_and_not_in_colour_alone() -> None:
    names = re.findall(r"<(circle|rect|polygon) ", legend(["B", "C", "D"], "A"))
    assert names == ["circle", "rect", "polygon"]


@pytest.mark.parametrize(("took_ms", "is_late"), [(1.0, False), (99.9, False), (100.0, False), (100.1, True), (5_000.0, True)])
def test_what_is_later_than_the_budget_stands_above_its_line(took_ms: float, *, is_late: bool) -> None:
    picture = heat("page_view", [(3, took_ms, 7)], 100.0, 15)
    (cell,) = drawn(picture, "rect", "late") + drawn(picture, "rect", "soon")
    line = CELL_HEIGHT * (len(SHARES) - SHARES.index(1.0))
    assert (float(re.search(r' y="([\d.]+)"', cell)[1]) < line) is is_late  # type: ignore[index]
    assert ('class="late' in cell) is is_late
    assert f"{'100.0%' if is_late else '0.0%'} late" in picture


def test_a_stop_that_was_not_reached_is_drawn_as_such() -> None:
    picture = flow(
        [Stop("Client", "", 0), Stop("Input topic", "events.page_view:0:7", 12_500), Stop("Shown", "exposures", None)]
    )
    assert picture.count("<li ") == 3
    assert "+12.5 ms" in picture
    assert 'class="stop topic missing"' in picture
    assert "not reached" in picture


def test_a_course_of_nothing_says_so_and_a_ramp_says_where_it_is() -> None:
    assert "none in this time" in area([0.0, 0.0], "signals", "signals/s")
    assert "highest 2.0 signals/s" in area([0.0, 2.0], "signals", "signals/s")
    assert "5,000" in bars({"assigned": 5_000}, "reasons")
    assert ramp([100, 1_000], 100).count("now") == 2, "once for those who see it, once for those who hear it"


def test_a_percentile_is_within_a_tenth_of_the_true_one() -> None:
    values = [float(value) for value in range(1, 1_001)]
    counts: dict[int, int] = {}
    for value in values:
        counts[bin_of(value)] = counts.get(bin_of(value), 0) + 1
    for share in (0.5, 0.9, 0.99):
        true = values[round(share * len(values)) - 1]
        assert true <= percentile(sorted(counts.items()), share) <= true * BIN_RATIO**1.01
    assert percentile([], 0.5) == 0.0
    assert milliseconds_of(0) == 1.0
