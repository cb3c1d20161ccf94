"""What is a value and what is not; nothing is guessed, and whatever took its default is named."""

import math
from typing import Any

import pytest

from app.contract.model import Feature
from app.engine.models.features import Features

ONE = {"name": "f", "path": "user.views"}


def vector(value: Any, **fields: Any) -> tuple[list[float], list[str], str | None]:
    found = Features([Feature(**{**ONE, **fields})]).of({"user": {"views": value}})
    return found.values, found.defaulted, found.unavailable


@pytest.mark.parametrize(
    ("fields", "value", "number"),
    [
        ({}, 3, 3.0),
        ({}, 2.5, 2.5),
        ({"type": "boolean"}, True, 1.0),
        ({"type": "boolean"}, False, 0.0),
        ({"type": "category", "equals": "web"}, "web", 1.0),
        ({"type": "category", "equals": "web"}, "ios", 0.0),
        ({"type": "count"}, ["a", "b"], 2.0),
        ({"type": "count"}, {}, 0.0),
        ({"min": 1, "max": 3}, 3, 3.0),
    ],
)
def test_a_value_of_its_type_is_a_number(fields: dict[str, Any], value: Any, number: float) -> None:
    assert vector(value, **fields) == ([number], [], None)
    assert vector(value, **fields, default=9.0) == ([number], [], None)


@pytest.mark.parametrize(
    ("fields", "value", "why"),
    [
        ({}, None, "f is missing"),
        ({}, "3", "f is missing"),
        ({}, True, "f is missing"),
        ({"type": "boolean"}, 1, "f is missing"),
        ({"type": "category", "equals": "1"}, 1, "f is missing"),
        ({"type": "count"}, "ab", "f is missing"),
        ({"min": 1.0}, 0.5, "f is 0.5, outside [1.0, 1.7976931348623157e+308]"),
        ({"max": 2}, 3, "f is 3.0, outside [-1.7976931348623157e+308, 2.0]"),
    ],
)
def test_what_is_no_value_takes_the_default_and_is_named_or_the_model_is_unavailable(
    fields: dict[str, Any], value: Any, why: str
) -> None:
    assert vector(value, **fields, default=1.5) == ([1.5], ["f"], None)
    assert vector(value, **fields)[2] == why


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_takes_no_default(value: float) -> None:
    assert vector(value)[2] == "f is no finite number"
    assert vector(value, default=1.5)[2] == "f is no finite number"


def test_paths_go_as_deep_as_there_are_mappings() -> None:
    features = Features([Feature(name="f", path="event.properties.a.b", default=-1.0)])
    assert features.of({"event": {"properties": {"a": {"b": 4}}}}).values == [4.0]
    for broken in ({}, {"event": None}, {"event": {"properties": [1]}}, {"event": {"properties": {"a": "b"}}}):
        assert features.of(broken).defaulted == ["f"]


def test_the_quick_way_and_the_slow_one_read_the_same() -> None:
    """Floats one step below a root are read together; one that is otherwise sends all of them the slow way."""
    features = Features(
        [Feature(name=n, path=p, default=0.5) for n, p in (("a", "event.a"), ("b", "event.b"), ("c", "user.c"))]
    )
    quick = features.of({"event": {"a": 1.0, "b": 2.0}, "user": {"c": 3.0}})
    slow = features.of({"event": {"a": 1, "b": 2.0}, "user": {"c": 3.0}})
    assert quick == slow
    assert quick.digest == slow.digest
    assert features.of({"event": {"a": 1.0}, "user": {"c": 3.0}}).defaulted == ["b"]
    assert features.of({"event": {"a": 1.0, "b": math.nan}, "user": {"c": 3.0}}).unavailable == "b is no finite number"
    assert features.of({"event": {"a": 1.0, "b": 1.0}, "user": None}).defaulted == ["c"]


def test_the_digest_tells_values_apart_and_knows_their_order() -> None:
    features = Features([Feature(name=n, path=f"event.{n}") for n in "ab"])
    digests = {features.of({"event": {"a": a, "b": b}}).digest for a, b in ((1.0, 2.0), (2.0, 1.0), (1.0, 2.0000000000000004))}
    assert len(digests) == 3
