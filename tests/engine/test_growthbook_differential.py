"""Against another implementation: the `growthbook` package (4.x) on generated input.

Its bucketing must be ours to the last bit. Its conditions follow a later reading of the specification, in which values of
different types never match; ours follow sdk-js at specification 0.8.0, which coerces. Each such difference is a row of
DIFFERENCES with the line of sdk-js (packages/sdk-js/src/mongrule.ts) that decides it; anything else must be equal. Each
row is shown to be needed by an example, and conditions on values of the meant type are compared without any filter.
"""

from collections.abc import Callable
from typing import Any

import growthbook.core as other
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from app.engine.bucketing import bucket_ranges, choose_variation, equal_weights, hash_unit, in_namespace
from app.engine.coercion import is_array_index, truthy, type_of
from app.engine.conditions import compile_condition

GROUPS = {"g": ["a", 1, True, None], "empty": []}
SCALARS = ("string", "number", "boolean")
ORDERINGS = ("$lt", "$lte", "$gt", "$gte")
VERSIONS = ("$veq", "$vne", "$vlt", "$vlte", "$vgt", "$vgte")
PATTERNS = ("$regex", "$regexi", "$notRegex", "$notRegexi")
LISTS = ("$in", "$ini", "$nin", "$nini")

unit_texts = st.text(st.characters(codec="utf-8"), max_size=40) | st.uuids().map(str)
weights = st.none() | st.lists(st.floats(0, 1), max_size=5) | st.just([0.2, 0.3, 0.5])

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-20, 20)
    | st.floats(-1e6, 1e6).map(lambda number: round(number, 3))
    | st.text("abAB19./", max_size=4)
    | st.sampled_from(["1.2.3", "v1.2.3-rc.1", "10.0.1+b5", "a", "A", "1"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc019"), inner, max_size=3),
    max_leaves=6,
)
operator_names = st.sampled_from(
    [
        *("$eq", "$ne", *ORDERINGS, *VERSIONS, *PATTERNS, *LISTS),
        *("$all", "$alli", "$size", "$exists", "$type", "$inGroup", "$notInGroup"),
    ]
)


@given(seed=unit_texts, value=unit_texts, version=st.integers(0, 3))
@example(seed="a\ud800", value="\U0001f600", version=2)
def test_hashes_are_the_same(seed: str, value: str, version: int) -> None:
    assert hash_unit(seed, value, version) == other.gbhash(seed, value, version)


@given(count=st.integers(-1, 6), coverage=st.floats(-0.5, 1.5), weights=weights)
def test_bucket_ranges_are_the_same(count: int, coverage: float, weights: list[float] | None) -> None:
    assert bucket_ranges(count, coverage, weights) == other.getBucketRanges(count, coverage, weights)
    assert equal_weights(count) == other.getEqualWeights(count)


@given(seed=unit_texts, value=unit_texts, coverage=st.floats(0, 1), weights=weights, version=st.sampled_from([1, 2]))
def test_variations_are_the_same(seed: str, value: str, coverage: float, weights: list[float] | None, version: int) -> None:
    count = len(weights or "ab")
    position = hash_unit(seed, value, version)
    assert position is not None

    chosen = choose_variation(position, bucket_ranges(count, coverage, weights))

    assert chosen == other.chooseVariation(position, other.getBucketRanges(count, coverage, weights))


@given(value=unit_texts, name=unit_texts, bounds=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_namespaces_are_the_same(value: str, name: str, bounds: tuple[float, float]) -> None:
    assert in_namespace(value, (name, *bounds)) == other.inNamespace(value, (name, *bounds))


def _plain_of_another_type(operand: Any, value: Any) -> bool:
    return type_of(operand) in SCALARS and type_of(value) != type_of(operand)


def _different_types(name: str, operand: Any, value: Any) -> bool:
    return not (type_of(operand) == type_of(value) and type_of(operand) in ("string", "number"))


def _any_plain(pairs: list[tuple[Any, Any]]) -> bool:
    return any(_plain_of_another_type(operand, value) or operand == {} for operand, value in pairs)


Difference = Callable[[str, Any, Any], bool]
DIFFERENCES: list[tuple[tuple[str, ...], Difference, str]] = [
    (ORDERINGS, _different_types, 'case "$lt": return actual < expected; JavaScript coerces null, text and numbers'),
    (VERSIONS, _different_types, 'if (!input || typeof input !== "string") input = "0"; and never a type mismatch'),
    (
        PATTERNS,
        lambda name, operand, value: type_of(value) != "string",
        "getRegex(expected).test(actual); RegExp.test takes String(actual)",
    ),
    (
        ("$all", "$alli"),
        lambda name, operand, value: (
            type_of(operand) == type_of(value) == "array" and _any_plain([(o, v) for o in operand for v in value])
        ),
        'evalConditionValue: value + "" === condition; value * 1 === condition; !!value === condition',
    ),
    (
        ("$size",),
        lambda name, operand, value: type_of(value) == "array" and _any_plain([(operand, len(value))]),
        "evalConditionValue(expected, actual.length): value * 1 === condition",
    ),
]


def _explained(name: str, operand: Any, value: Any) -> bool:
    return any(name in names and differs(name, operand, value) for names, differs, _ in DIFFERENCES)


def _same(condition: dict[str, Any], attributes: dict[str, Any]) -> bool:
    ours = compile_condition(condition, GROUPS, strict=False)(attributes)
    return ours == other.evalCondition(attributes, condition, GROUPS)


@st.composite
def operator_tests(draw: st.DrawFn) -> tuple[str, Any, Any]:
    name = draw(operator_names)
    value = draw(values)
    if name in LISTS or name in ("$all", "$alli"):
        return name, draw(st.lists(values, max_size=4)), value
    if name in PATTERNS:
        return name, draw(st.sampled_from(["^a", "b$", "a", "^a/b$", "[0-9]+", "(a|B)", "", "a.b"])), value
    if name in ("$inGroup", "$notInGroup"):
        return name, draw(st.sampled_from(["g", "empty", "unknown"])), value
    if name == "$type":
        return name, draw(st.sampled_from(["string", "number", "boolean", "array", "object", "null"])), value
    if name == "$exists":
        return name, draw(st.booleans()), value
    return name, draw(values), value


@settings(max_examples=1_000)
@given(test=operator_tests())
def test_operators_are_the_same_but_for_the_listed_differences(test: tuple[str, Any, Any]) -> None:
    name, operand, value = test
    assume(not _explained(name, operand, value))

    assert _same({"x": {name: operand}}, {"x": value})
    assert _same({"x": {"$not": {name: operand}}}, {"x": value})


@pytest.mark.parametrize(
    ("name", "operand", "value"),
    [
        ("$lt", 1, None),
        ("$gte", "5", 5),
        ("$veq", "0", None),
        ("$vne", "2", 2),
        ("$regex", "^null$", None),
        ("$notRegexi", "TRUE", True),
        ("$all", ["1"], [1]),
        ("$size", "1", ["a"]),
    ],
)
def test_each_listed_difference_is_there(name: str, operand: Any, value: Any) -> None:
    assert _explained(name, operand, value)
    assert not _same({"x": {name: operand}}, {"x": value})


@pytest.mark.parametrize(("operand", "value"), [("1", 1), (0, None), (True, "x"), ({}, 1), ({"$elemMatch": {"$lt": 5}}, [0])])
def test_each_difference_of_plain_values_and_elements_is_there(operand: Any, value: Any) -> None:
    assert not _same({"x": operand}, {"x": value})


@given(operand=values, value=values)
def test_plain_values_are_the_same_but_across_types(operand: Any, value: Any) -> None:
    # sdk-js: typeof condition === "string" -> value + "" === condition (and so on): coercion, where the package is typed.
    assume(not _plain_of_another_type(operand, value))
    # sdk-js isOperatorObject: keys.length > 0 && ..., so {} is a plain value; the package lets it pass.
    assume(operand != {})

    assert _same({"x": operand}, {"x": value})


@given(test=operator_tests(), elements=st.lists(values, max_size=4))
def test_element_matches_are_the_same_but_for_falsy_elements(test: tuple[str, Any, Any], elements: list[Any]) -> None:
    name, operand, _ = test
    assume(not any(_explained(name, operand, element) for element in elements))
    # sdk-js elemMatch: if (actual[i] && check(actual[i])), so 0, "" and false never match; the package skips only null.
    assume(all(truthy(element) or element is None for element in elements))

    assert _same({"x": {"$elemMatch": {name: operand}}}, {"x": elements})


@st.composite
def typed_tests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A field and a test of it, types as an author means them: s holds text, n a number, t texts, v a version."""
    letters = st.sampled_from(["a", "b", "A", "ab", ""])
    field = draw(st.sampled_from("sntv"))
    if field == "n":
        return field, {draw(st.sampled_from([*ORDERINGS, "$eq", "$ne"])): draw(st.integers(-3, 3))}
    if field == "v":
        return field, {draw(st.sampled_from(VERSIONS)): draw(st.sampled_from(["1.2.3", "1.10.0", "v2.0.0-rc.1"]))}
    if field == "t":
        return field, {draw(st.sampled_from([*LISTS, "$all", "$alli"])): draw(st.lists(letters, max_size=3))}
    name = draw(st.sampled_from([*ORDERINGS, "$eq", "$ne", *PATTERNS]))
    return field, {name: draw(letters)}


typed_conditions = st.recursive(
    st.lists(typed_tests(), max_size=2).map(dict),
    lambda inner: (
        st.builds(lambda name, inside: {name: inside}, st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, max_size=3))
        | inner.map(lambda inside: {"$not": inside})
        | st.builds(lambda inside, test: {"$not": inside, **dict([test])}, inner, typed_tests())
    ),
    max_leaves=8,
)
typed_attributes = st.fixed_dictionaries(
    {
        "s": st.sampled_from(["a", "b", "A", "ab", ""]),
        "n": st.integers(-4, 4),
        "t": st.lists(st.sampled_from(["a", "b", "A", "ab"]), max_size=3),
        "v": st.sampled_from(["1.2.3", "1.9.9", "1.10.0+b", "2.0.0"]),
    }
)


@settings(max_examples=500)
@given(condition=typed_conditions, attributes=typed_attributes)
def test_conditions_on_values_of_the_meant_type_are_the_same_without_any_filter(
    condition: dict[str, Any], attributes: dict[str, Any]
) -> None:
    assert _same(condition, attributes)


@given(path=st.lists(st.sampled_from(["a", "b", "0", "1", "01", "length"]), min_size=1, max_size=3), value=values)
def test_paths_lead_to_the_same_value(path: list[str], value: Any) -> None:
    name = ".".join(["x", *path])
    found = other.getPath({"x": value}, name)

    assert _same({name: {"$exists": True}}, {"x": value})
    assert _same({name: {"$type": type_of(found)}}, {"x": value})


@given(key=st.text("0123a٣-", max_size=12), length=st.integers(0, 200))
def test_array_indices_are_the_same(key: str, length: int) -> None:
    assert is_array_index(key, length) == other._is_array_index(key, length)
