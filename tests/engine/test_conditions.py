"""What a strict author is told, what a lenient reader gets, and the corners where JavaScript's coercions decide."""

from datetime import date
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.conditions import (
    CONDITION_DEPTH_MAX,
    ConditionError,
    compile_condition,
    groups_named,
    path_text,
)
from app.engine.operators import OPERATORS
from app.errors import CallerError

ROOTS = ("event", "context", "user", "session")
NUDGE = {
    "context.route": {"$regex": "^/app/onboarding"},
    "user.milestones": {"$not": {"$elemMatch": {"$eq": "project_created"}}},
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def holds(condition: Any, attributes: Any, groups: Any = None) -> bool:
    return compile_condition(condition, groups or {}, strict=False)(attributes)


def problems(condition: Any, **options: Any) -> dict[str, str]:
    with pytest.raises(ConditionError) as raised:
        compile_condition(condition, **options)
    return {path_text(problem.path): problem.message for problem in raised.value.problems}


def test_the_worked_example_is_strict_and_finds_its_users() -> None:
    eligible = compile_condition(NUDGE, roots=ROOTS)

    assert eligible({"context": {"route": "/app/onboarding/2"}, "user": {"milestones": ["signed_up"]}})
    assert eligible({"context": {"route": "/app/onboarding"}, "user": {}})
    assert not eligible({"context": {"route": "/app/onboarding"}, "user": {"milestones": ["project_created"]}})
    assert not eligible({"context": {"route": "/app"}, "user": {"milestones": []}})
    assert not eligible({})


def test_a_condition_is_read_once_and_later_changes_of_it_mean_nothing() -> None:
    condition = {"a": {"$in": ["x"]}}
    test = compile_condition(condition)

    condition["a"]["$in"].append("y")
    condition["a"]["$eq"] = ["x"]

    assert test({"a": "x"})
    assert not test({"a": "y"})


def test_attributes_may_be_any_mapping() -> None:
    frozen = MappingProxyType({"context": MappingProxyType({"device": MappingProxyType({"os": "ios"})})})

    assert holds({"context.device.os": "ios"}, frozen)
    assert holds({"context": {"$type": "object"}}, frozen)


@pytest.mark.parametrize(
    ("condition", "attributes", "expected"),
    [
        # A missing attribute is null, and null is "null", 0, and neither true nor false.
        ({"a": "null"}, {}, True),
        ({"a": 0}, {}, True),
        ({"a": False}, {}, False),
        ({"a": {"$lt": 1}}, {}, True),
        ({"a": {"$regex": "^null$"}}, {}, True),
        ({"a": {"$exists": False}}, {"a": None}, True),
        ({"a": {"$not": {"$gt": 5}}}, {}, True),
        ({"a": {"$not": None}}, {}, False),
        ({"a": {"$ne": None}}, {}, False),
        # Identity knows types; a plain value does not.
        ({"a": {"$eq": 1}}, {"a": True}, False),
        ({"a": {"$eq": 1}}, {"a": 1.0}, True),
        ({"a": 1}, {"a": "0x1"}, True),
        ({"a": 1}, {"a": [1]}, True),
        ({"a": "1,2"}, {"a": [1, [2]]}, True),
        ({"a": "1e+21"}, {"a": 1e21}, True),
        ({"a": True}, {"a": []}, True),
        ({"a": {"$in": [1]}}, {"a": True}, False),
        ({"a": {"$in": [[1]]}}, {"a": [[1]]}, False),
        ({"a": {"$ini": ["STRASSE", 1]}}, {"a": ["strasse"]}, True),
        ({"a": {"$alli": ["ONE"]}}, {"a": ["One", 2]}, True),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, False),
        ({"a": {"x": 1, "2": 2}}, {"a": {"2": 2, "x": 1}}, True),
        ({"a": {}}, {"a": {}}, True),
        ({"a": {}}, {"a": 1}, False),
        # Elements that JavaScript takes for false never match.
        ({"a": {"$elemMatch": {"$eq": ""}}}, {"a": [""]}, False),
        ({"a": {"$elemMatch": {"$lt": 5}}}, {"a": [0]}, False),
        ({"a": {"$elemMatch": {"b.c": {"$gt": 1}}}}, {"a": [{"b": {"c": 1}}, {"b": {"c": 2}}]}, True),
        ({"a": {"$elemMatch": {"$or": [{"b": 1}]}}}, {"a": [{"b": 1}]}, False),
        ({"a.1": "y", "a.length": 2}, {"a": ["x", "y"]}, True),
        # UTF-16 order: the emoji's first unit is below U+FF5E.
        ({"a": {"$lt": "\uff5e"}}, {"a": "\U0001f600"}, True),
        # Versions: build metadata is ignored, text that is none counts as "0".
        ({"a": {"$veq": "1.2.3"}}, {"a": "v1.2.3+5"}, True),
        ({"a": {"$vlt": "1.0.0"}}, {}, True),
        ({"a": {"$vgt": "1.9.0"}}, {"a": "1.10.0"}, True),
        ({"a": {"$veq": "2"}}, {"a": 2.0}, True),
        ({"$nor": []}, {}, False),
        ({"a": {"$inGroup": "unknown"}}, {"a": 1}, False),
        ({"a": {"$notInGroup": "unknown"}}, {"a": 1}, True),
    ],
)
def test_coercions_are_javascripts(condition: Any, attributes: Any, expected: bool) -> None:
    assert holds(condition, attributes) is expected


@pytest.mark.parametrize(
    ("name", "pattern", "value", "expected"),
    [
        ("$notRegex", "^a", "b", True),
        ("$notRegex", "^a", "ab", False),
        ("$notRegexi", "^A", "ab", False),
        ("$notRegex", "a", None, True),
        ("$regex", "^a$", "a\n", False),
        ("$regex", "^(a|b)+$", "abba", True),
        ("$regex", "a.c", "\udc00abc", True),
        ("$regexi", "É", "é", True),
        ("$regex", "x" * 300 + "$", "x" * 300, True),
        ("$regex", "[x]$", "x" * 300, True),
    ],
)
def test_patterns_search_text(name: str, pattern: str, value: Any, expected: bool) -> None:
    assert holds({"a": {name: pattern}}, {"a": value}) is expected


@given(pattern=st.text("^$ab/-", max_size=5), text=st.text("^$ab/-\n", max_size=6))
def test_a_literal_pattern_without_its_automaton_answers_as_with_it(pattern: str, text: str) -> None:
    with_automaton = f"(?:{pattern})"

    assert holds({"a": {"$regex": pattern}}, {"a": text}) == holds({"a": {"$regex": with_automaton}}, {"a": text})


def test_not_regex_is_the_negation_of_regex_even_for_an_invalid_expression() -> None:
    for pattern in ("(", "x", "^y"):
        assert holds({"a": {"$notRegex": pattern}}, {"a": "x"}) is holds({"a": {"$not": {"$regex": pattern}}}, {"a": "x"})


@pytest.mark.parametrize(
    "condition",
    [
        {"$or": 5},
        {"$and": {"a": 1}},
        {"$nor": None},
        {"$not": "x"},
        {"$not": {"$or": None}},
        {"$or": [{}, 5]},
        {"a": {"$elemMatch": {"$not": 1, "b": 1}}, "$and": [None]},
        None,
        [],
        "x",
    ],
)
def test_a_condition_without_a_reading_is_false_even_inside_not(condition: Any) -> None:
    assert not holds(condition, {"a": 1})
    assert not holds({"$not": condition}, {"a": 1})
    assert problems(condition)


def test_an_unknown_operator_is_false_and_its_negation_true_as_in_sdk_js() -> None:
    assert not holds({"a": {"$near": 1}}, {"a": 1})
    assert holds({"a": {"$not": {"$near": 1}}}, {"a": 1})
    assert holds({"$groups": {"$in": ["x"]}}, {"$groups": ["x"]})


def test_strict_names_every_problem_with_its_place_and_a_remedy() -> None:
    found = problems(
        {
            "context.route": {"$regx": "x", "$regex": "(?=x)"},
            "$and": [{"event.name": {"$in": "page_view"}}, {"user.age": {"$gt": date(2026, 1, 1)}}],
            "$or": {"a": 1},
            "$gt": 5,
            "user.plan": {"$exists": "yes", "$type": "text", "$size": "many"},
            "contxt.route": "/app",
        },
        roots=ROOTS,
    )

    assert set(found) == {
        "context.route.$regx",
        "context.route.$regex",
        "$and[0].event.name.$in",
        "$and[1].user.age.$gt",
        "$or",
        "$gt",
        "user.plan.$exists",
        "user.plan.$type",
        "user.plan.$size",
        "contxt.route",
    }
    assert "did you mean $regex?" in found["context.route.$regx"]
    assert "RE2" in found["context.route.$regex"]
    assert "'page_view'" in found["$and[0].event.name.$in"]
    assert "paths begin with context, event, session, user" in found["contxt.route"]


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        ({"a": {"$eq": [1]}}, "a.$eq"),
        ({"a": {"$ne": {"b": 1}}}, "a.$ne"),
        ({"a": {"$lt": None}}, "a.$lt"),
        ({"a": {"$gte": True}}, "a.$gte"),
        ({"a": {"$vgt": [1]}}, "a.$vgt"),
        ({"a": {"$nini": "x"}}, "a.$nini"),
        ({"a": {"$alli": "x"}}, "a.$alli"),
        ({"a": {"$all": [{"$foo": 1}]}}, "a.$all[0].$foo"),
        ({"a": {"$elemMatch": "x"}}, "a.$elemMatch"),
        ({"a": {"$elemMatch": {"b": {"$foo": 1}}}}, "a.$elemMatch.b.$foo"),
        ({"a": {"$elemMatch": {"$and": []}}}, "a.$elemMatch.$and"),
        ({"a": {"$size": {"$foo": 1}}}, "a.$size.$foo"),
        ({"a": {"$inGroup": ["g"]}}, "a.$inGroup"),
        ({"a": {"$regexi": "("}}, "a.$regexi"),
        ({"a": {"$notRegex": 5}}, "a.$notRegex"),
        ({"a": {"$regex": "\ud800"}}, "a.$regex"),
        ({"a": {"$not": {"$foo": 1}}}, "a.$not.$foo"),
        ({"a": {"$gt": 1, "b": 2}}, "a"),
        ({"a": {"$in": [date(2026, 1, 1)]}}, "a.$in[0]"),
        ({"a": {"$gt": float("inf")}}, "a.$gt"),
        ({"a": float("nan")}, "a"),
        ({True: 1}, "True"),
        ({"$not": {"$not": {"$foo": 1}}}, "$not.$not.$foo"),
    ],
)
def test_strict_refuses_a_wrong_operand_where_it_stands(condition: Any, place: str) -> None:
    assert place in problems(condition)


def test_the_error_is_the_callers_and_fits_one_line() -> None:
    with pytest.raises(CallerError) as raised:
        compile_condition({"a": {"$foo": 1}})

    assert "\n" not in str(raised.value)
    assert "a.$foo" in str(raised.value)


def test_elements_have_paths_of_their_own() -> None:
    compile_condition({"user.orders": {"$elemMatch": {"total": {"$gt": 5}}}}, roots=ROOTS)


def test_depth_is_bounded_when_compiling_and_when_an_event_chooses_it() -> None:
    condition: Any = {"a": 1}
    for _ in range(CONDITION_DEPTH_MAX + 1):
        condition = {"$not": condition}
    operators: Any = {"$gt": 1}
    for _ in range(CONDITION_DEPTH_MAX + 1):
        operators = {"$not": operators}
    value: Any = "x"
    for _ in range(50_000):
        value = [value]

    assert any("levels" in message for message in problems(condition).values())
    assert any("levels" in message for message in problems({"a": operators}).values())
    assert not holds(condition, {"a": 1})
    assert holds({"a": "x"}, {"a": value})
    assert not holds({"a": ["x"]}, {"a": value})


def test_groups_named_finds_every_group() -> None:
    condition = {"$or": [{"a": {"$inGroup": "one"}}, {"b": {"$not": {"$notInGroup": "two"}}}], "c": "$inGroup"}

    assert groups_named(condition) == {"one", "two"}
    assert groups_named(NUDGE) == frozenset()


@given(name=st.sampled_from(sorted(OPERATORS)), operand=json_values, value=json_values)
def test_no_operand_and_no_value_make_an_evaluation_raise(name: str, operand: Any, value: Any) -> None:
    assert holds({"a": {name: operand}}, {"a": value}) in (True, False)


@given(condition=json_values, attributes=st.dictionaries(st.text(max_size=3), json_values, max_size=3))
def test_no_condition_makes_a_lenient_reading_raise(condition: Any, attributes: dict[str, Any]) -> None:
    assert holds(condition, attributes) in (True, False)
