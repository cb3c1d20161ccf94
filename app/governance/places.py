"""What may not live side by side: overlapping ranges of one layer, and one decision point without a shared layer.

A shadow policy treats nobody, so it collides with none: that is how a new version runs beside the live one.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from app.governance.problems import Problem
from app.governance.raw import get, is_number


class Place(NamedTuple):
    """Where a policy lives: what it may collide with. shadow: treats nobody, so it collides with none."""

    key: str
    decision_point: str | None
    layer: str | None
    low: float
    high: float
    shadow: bool


def place_of(body: Any) -> Place | None:
    """The place of a raw body; None when it has no usable key."""
    if not isinstance(body, dict) or not isinstance(body.get("key"), str):
        return None
    point, layer, span = get(body, "trigger", "decision_point"), get(body, "layer", "name"), get(body, "layer", "range")
    usable = isinstance(span, list) and len(span) == 2 and all(is_number(edge) for edge in span) and span[0] < span[1]
    # A range that is no range is a problem of its own file, and overlaps nothing.
    low, high = span if usable else (0.0, 0.0)
    return Place(
        body["key"],
        point if isinstance(point, str) else None,
        layer if isinstance(layer, str) else None,
        low,
        high,
        body.get("mode") == "shadow",
    )


def place_problems(place: Place, others: Iterable[Place]) -> Iterator[Problem]:
    """The collisions of `place` with policies that live at the same time."""
    for other in others:
        if place.shadow or other.shadow or other.key == place.key:
            continue
        one_layer = place.layer is not None and place.layer == other.layer
        if one_layer and place.low < other.high and other.low < place.high:
            yield _overlapping(place, other)
        if place.decision_point is not None and place.decision_point == other.decision_point and not one_layer:
            yield _unshared(place, other)


def _overlapping(place: Place, other: Place) -> Problem:
    what = (
        f"the range [{place.low:g}, {place.high:g}] of layer {place.layer!r} overlaps "
        f"[{other.low:g}, {other.high:g}] of policy {other.key!r}"
    )
    return Problem(("layer", "range"), what, "Give the policies of one layer ranges that do not overlap")


def _unshared(place: Place, other: Place) -> Problem:
    layers = f"layers {place.layer or 'none'} and {other.layer or 'none'}"
    what = f"policy {other.key!r} decides on {place.decision_point!r} too, and they share no layer ({layers})"
    return Problem(("trigger", "decision_point"), what, "Put both into one layer with ranges apart, or retire the other first")
