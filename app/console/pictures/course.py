"""The course of an experiment: its ramp with the looks and their boundary, and the interval at each look that was made.

Both on one scale of days, so that they can be read above each other. Between looks nothing is drawn: nobody looked.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from app.analysis.occasion import moment
from app.console.markup import Html, tag, text
from app.contract.times import HOUR_US

DAY_US = 24 * HOUR_US
WIDTH, LEFT, RIGHT = 960, 56, 16
FIELD_TOP, FIELD_BOTTOM = 26, 226
RAMP_TOP, RAMP_BOTTOM = 256, 316
MOST_Z = 6.0
SERIES = 5


class Course(NamedTuple):
    """planned: (when, the z that a look there must reach, None where it was not worked out). steps: (when, permille from then
    on). halts: (when, what). until_us: the horizon, or where there is no plan the newest moment."""

    started_us: int
    until_us: int
    planned: tuple[tuple[int, float | None], ...]
    steps: tuple[tuple[int, int], ...]
    halts: tuple[tuple[int, str], ...]


class Seen(NamedTuple):
    """One arm at a look that was made. limit: the z that was asked for. low, high: the interval; relative: as shares."""

    at_us: int
    arm: str
    z: float
    limit: float
    estimate: float
    low: float
    high: float
    is_relative: bool


class _Scale:
    """Of time."""

    def __init__(self, course: Course) -> None:
        self._from = course.started_us
        self._width = max(1, course.until_us - course.started_us)

    def x(self, us: int) -> float:
        share = min(1.0, max(0.0, (us - self._from) / self._width))
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def days(self) -> list[int]:
        count = max(1, round(self._width / DAY_US))
        each = max(1, -(-count // 8))
        return [self._from + day * DAY_US for day in range(0, count + 1, each)]


def ramp_and_looks(course: Course, seen: Sequence[Seen], now_us: int) -> Html:
    scale = _Scale(course)
    limits = [(scale.x(us), _y(z)) for us, z in course.planned if z is not None]
    made = {one.at_us for one in seen}
    return _framed(
        f"{len(course.planned)} planned looks, {len(made)} made; coverage in {len(course.steps)} steps",
        RAMP_BOTTOM + 22,
        tag("text", "z of the difference", x=LEFT, y=14),
        tag("line", class_="axis", x1=LEFT, x2=WIDTH - RIGHT, y1=_y(0), y2=_y(0)),
        [tag("text", f"{z:+d}" if z else "0", x=LEFT - 8, y=_y(z) + 4, text_anchor="end") for z in (-4, -2, 0, 2, 4)],
        _funnel(limits),
        [_upright("tick", scale.x(us), FIELD_BOTTOM - 5, FIELD_BOTTOM + 5) for us, _ in course.planned],
        _dots([(one.arm, scale.x(one.at_us), _y(one.z)) for one in seen], _arms(seen)),
        tag("text", "coverage", x=LEFT, y=RAMP_TOP - 8),
        _steps(course, scale),
        _halts(course, scale),
        _now(scale, now_us, course),
        _days(scale, RAMP_BOTTOM + 16),
    )  # fmt: skip


def intervals(course: Course, seen: Sequence[Seen], now_us: int) -> Html:
    """At looks alone."""
    scale, arms = _Scale(course), _arms(seen)
    ends = [end for one in seen for end in (one.low, one.high, 0.0)]
    low, high = min(ends), max(ends)
    room = (high - low) * 0.08 or 1.0
    low, high = low - room, high + room
    height = FIELD_BOTTOM - FIELD_TOP

    def y(value: float) -> float:
        return FIELD_BOTTOM - (value - low) / (high - low) * height

    relative = all(one.is_relative for one in seen)
    marks = _round_marks(low, high)
    bars = []
    for one in seen:
        series = arms.index(one.arm)
        x = scale.x(one.at_us) + (series - (len(arms) - 1) / 2) * 7
        said = f"{one.arm}, {_day(one.at_us)}: {_said(one.low, relative)} to {_said(one.high, relative)}"
        bars.append(tag("line", tag("title", said), x1=x, x2=x, y1=y(one.low), y2=y(one.high), class_=f"interval s{series}"))
        bars.append(_dot(series, x, y(one.estimate)))
    return _framed(
        f"interval of the difference at {len({one.at_us for one in seen})} looks",
        FIELD_BOTTOM + 26,
        tag("text", "relative difference" if relative else "difference", x=LEFT, y=14),
        [tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y(mark), y2=y(mark)) for mark in marks],
        [tag("text", _said(mark, relative), x=LEFT - 8, y=y(mark) + 4, text_anchor="end") for mark in marks],
        tag("line", class_="axis heavy", x1=LEFT, x2=WIDTH - RIGHT, y1=y(0), y2=y(0)),
        tag("text", "no difference", x=WIDTH - RIGHT, y=y(0) - 5, text_anchor="end"),
        bars,
        _now(scale, now_us, course),
        _days(scale, FIELD_BOTTOM + 18),
    )


def _round_marks(low: float, high: float) -> list[float]:
    """Some four of them, each a multiple of 1, 2 or 5 times a power of ten; not 0, which has a line of its own."""
    wanted = (high - low) / 4
    power = 10 ** math.floor(math.log10(wanted))
    each = next(step * power for step in (1, 2, 5, 10) if step * power >= wanted)
    return [number * each for number in range(math.ceil(low / each), math.floor(high / each) + 1) if number]


def legend(arms: Sequence[str], against: str) -> Html:
    items = [
        tag("li", tag("svg", _dot(at, 8, 8), viewBox="0 0 16 16", aria_hidden="true"), f"{arm} against {against}")
        for at, arm in enumerate(arms)
    ]
    return tag("ul", items, class_="legend")


def _framed(title: str, height: int, *children: Html | list[Html] | None) -> Html:
    picture = tag("svg", tag("title", title), *children, viewBox=f"0 0 {WIDTH} {height}", role="img", class_="wide-plot")
    return tag("div", picture, class_="scroll", tabindex="0", role="group", aria_label=title)


def _y(z: float) -> float:
    shown = max(-MOST_Z, min(MOST_Z, z))
    return (FIELD_TOP + FIELD_BOTTOM) / 2 - shown / MOST_Z * (FIELD_BOTTOM - FIELD_TOP) / 2


def _funnel(limits: Sequence[tuple[float, float]]) -> list[Html]:
    """What is outside of it would be believed."""
    if not limits:
        return []
    middle = (FIELD_TOP + FIELD_BOTTOM) / 2
    made = []
    for sign, edge in ((1, FIELD_TOP), (-1, FIELD_BOTTOM)):
        line = [(x, middle + sign * (y - middle)) for x, y in limits]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        around = f"{line[0][0]:.1f},{edge} {points} {line[-1][0]:.1f},{edge}"
        made.append(tag("polygon", points=around, class_="beyond"))
        made.append(tag("polyline", points=points, class_="limit"))
    word = "beyond the boundary a difference is believed"
    made.append(tag("text", word, x=limits[0][0] + 8, y=FIELD_BOTTOM - 12))
    return made


def _steps(course: Course, scale: _Scale) -> list[Html]:
    """Coverage as it was; each step with its figure."""
    made = []
    ends = [us for us, _ in course.steps[1:]] + [course.until_us]
    for (us, permille), end in zip(course.steps, ends, strict=True):
        left, right = scale.x(us), scale.x(end)
        top = RAMP_BOTTOM - permille / 1000 * (RAMP_BOTTOM - RAMP_TOP)
        width, height = max(1.0, right - left), RAMP_BOTTOM - top
        made.append(tag("rect", x=f"{left:.1f}", y=f"{top:.1f}", width=f"{width:.1f}", height=f"{height:.1f}", class_="fill"))
        made.append(tag("line", x1=left, x2=max(right, left + 1), y1=top, y2=top, class_="stroke"))
        if right - left > 44:
            # In the step where it is high enough, else above it.
            made.append(tag("text", f"{permille} ‰", x=left + 5, y=top + 14 if height > 20 else top - 5))
    return [*made, tag("line", class_="axis", x1=LEFT, x2=WIDTH - RIGHT, y1=RAMP_BOTTOM, y2=RAMP_BOTTOM)]


def _halts(course: Course, scale: _Scale) -> list[Html]:
    made = []
    for us, what in course.halts:
        x = scale.x(us)
        anchor = "end" if x > WIDTH / 2 else "start"
        made.append(tag("line", x1=x, x2=x, y1=FIELD_TOP, y2=RAMP_BOTTOM, class_="halt"))
        made.append(tag("text", what, x=x - 5 if anchor == "end" else x + 5, y=RAMP_TOP - 8, text_anchor=anchor))
    return made


def _now(scale: _Scale, now_us: int, course: Course) -> Html | None:
    if not course.started_us < now_us < course.until_us:
        return None
    x = scale.x(now_us)
    return text(
        tag("line", x1=x, x2=x, y1=FIELD_TOP - 6, y2=FIELD_BOTTOM, class_="now"),
        tag("text", "now", x=x, y=FIELD_TOP - 10, text_anchor="middle"),
    )


def _days(scale: _Scale, y: int) -> list[Html]:
    shown = scale.days()
    anchors = ["start", *["middle"] * (len(shown) - 2), "end"] if len(shown) > 1 else ["start"]
    return [tag("text", _day(us), x=scale.x(us), y=y, text_anchor=anchor) for us, anchor in zip(shown, anchors, strict=True)]


def _day(us: int) -> str:
    at = moment(us)
    return f"{at:%d %b}"


def _arms(seen: Sequence[Seen]) -> list[str]:
    return list(dict.fromkeys(one.arm for one in seen))


def _upright(class_: str, x: float, top: float, bottom: float) -> Html:
    return tag("line", x1=x, x2=x, y1=top, y2=bottom, class_=class_)


def _dots(places: Sequence[tuple[str, float, float]], arms: Sequence[str]) -> list[Html]:
    return [_dot(arms.index(arm), x, y) for arm, x, y in places]


def _dot(series: int, x: float, y: float) -> Html:
    """A shape of its own for each arm."""
    class_ = f"dot s{series % SERIES}"
    if series % 3 == 0:
        return tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=4.5, class_=class_)
    if series % 3 == 1:
        return tag("rect", x=f"{x - 4:.1f}", y=f"{y - 4:.1f}", width=8, height=8, class_=class_)
    return tag("polygon", points=f"{x},{y - 6} {x + 6},{y} {x},{y + 6} {x - 6},{y}", class_=class_)


def _said(value: float, relative: bool) -> str:
    return f"{value:+.3g}" if not relative else f"{value * 100:+.3g} %"
