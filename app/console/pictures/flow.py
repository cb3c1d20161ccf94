"""The way of one event through the topics: where each record of it lies, when it was there, and how long that took.

To the right on a wide screen, downwards on a narrow one. What did not happen is drawn as well, empty: a decision that nobody
was shown looks otherwise than one that was.
"""

from collections.abc import Sequence
from typing import NamedTuple

from app.console.markup import Html, tag
from app.contract.times import MILLISECOND_US


class Stop(NamedTuple):
    """place: topic and offset, or where else it was. at_us None: it is not known to have come there."""

    name: str
    place: str
    at_us: int | None
    said: str = ""
    kind: str = "topic"
    path: str | None = None


def flow(stops: Sequence[Stop]) -> Html:
    began = next((stop.at_us for stop in stops if stop.at_us is not None), None)
    made = [_drawn(stop, began) for stop in stops]
    return tag("ol", made, class_="flow", aria_label="The way of this event")


def _drawn(stop: Stop, began_us: int | None) -> Html:
    missing = stop.at_us is None
    when = "not reached" if stop.at_us is None or began_us is None else _after(stop.at_us - began_us)
    name = tag("a", stop.name, href=stop.path) if stop.path else stop.name
    return tag(
        "li",
        tag("strong", name),
        tag("code", stop.place) if stop.place else None,
        tag("span", stop.said) if stop.said else None,
        tag("small", when),
        class_=f"stop {stop.kind}{' missing' if missing else ''}",
    )


def _after(us: int) -> str:
    if us == 0:
        return "begins"
    milliseconds = us / MILLISECOND_US
    return f"{milliseconds:+,.1f} ms" if abs(milliseconds) < 10_000 else f"{milliseconds / 1_000:+,.0f} s"
