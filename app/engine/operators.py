"""Operators on a value ({$gt: 5}), as a table from name to builder.

Owns what each operator of GrowthBook's specification 0.8.0 means. A builder gets the operand once and returns a closure
that tests a value; what can be computed from the operand alone is computed there. Refuses structure (paths, $and, $or),
which is conditions.py.

A builder reports an operand of the wrong type through its scope and still returns the test that sdk-js would run, so
that one reading serves the strict and the lenient caller. Source: growthbook/growthbook packages/sdk-js/src/mongrule.ts.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from app.engine.coercion import (
    ARRAY,
    ordered_as_python,
    to_number,
    to_text,
    truthy,
    type_of,
    utf16_key,
    version_key,
)
from app.engine.patterns import PatternError, compile_pattern

Path = tuple[str | int, ...]
Test = Callable[[Any], bool]
Relation = Callable[[Any, Any], bool]

TYPE_NAMES: Final = ("string", "number", "boolean", "array", "object", "null", "undefined", "unknown")


class Scope(Protocol):
    """What a builder may ask of the compiler."""

    @property
    def saved_groups(self) -> Mapping[str, Sequence[Any]]: ...

    def problem(self, path: Path, message: str) -> None: ...

    def on_value(self, expected: Any, path: Path, *, ignore_case: bool = False) -> Test: ...

    def on_fields(self, condition: Any, path: Path) -> Test: ...


Builder = Callable[[Any, Path, Scope], Test]


def never(value: Any) -> bool:
    return False


def always(value: Any) -> bool:
    return True


def negated(test: Test) -> Test:
    return lambda value: not test(value)


def shown(value: Any) -> str:
    """A value as a message names it, short enough for one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_operator_object(value: Any) -> bool:
    """Only keys that start with $, and at least one."""
    return isinstance(value, Mapping) and bool(value) and all(isinstance(k, str) and k[:1] == "$" for k in value)


def _equal(expected: Any, path: Path, scope: Scope) -> Test:
    """`===`: no coercion, and an array or object is equal to nothing, for it compares by reference."""
    if isinstance(expected, (Mapping, *ARRAY)):
        advice = "leave the operator out to compare the whole value"
        scope.problem(path, f"an array or object is never identical to another, got {shown(expected)}; {advice}")
        return never
    return _identical(expected)


def _identical(expected: Any) -> Test:
    if expected is None or isinstance(expected, bool):
        return lambda value: value is expected
    if isinstance(expected, (int, float)):
        return lambda value: value == expected and not isinstance(value, bool)
    return lambda value: bool(value == expected)


def _not_equal(expected: Any, path: Path, scope: Scope) -> Test:
    return negated(_equal(expected, path, scope))


def _ordering(relation: Relation) -> Builder:
    """`<` and its kin: two texts by UTF-16 unit, all else as numbers, where null (a missing attribute) is 0."""

    def build(expected: Any, path: Path, scope: Scope) -> Test:
        if isinstance(expected, bool) or not isinstance(expected, (int, float, str)):
            scope.problem(path, f"compares with a number or a text, got {shown(expected)}")
        if isinstance(expected, (str, Mapping, *ARRAY)):
            return _text_ordering(relation, to_text(expected))
        number = to_number(expected)

        def test(value: Any) -> bool:
            return relation(value if type(value) is int or type(value) is float else to_number(value), number)

        return test

    return build


def _text_ordering(relation: Relation, expected: str) -> Test:
    number = to_number(expected)
    key = utf16_key(expected)
    native = ordered_as_python(expected)

    def test(value: Any) -> bool:
        if native and type(value) is str:
            return relation(value, expected)
        if value is None or isinstance(value, (int, float)):
            return relation(to_number(value), number)
        return relation(utf16_key(to_text(value)), key)

    return test


def _version(relation: Relation) -> Builder:
    def build(expected: Any, path: Path, scope: Scope) -> Test:
        if isinstance(expected, bool) or not isinstance(expected, (str, int, float)):
            scope.problem(path, f"compares with a version such as '1.2.3', got {shown(expected)}")
        key = version_key(expected)
        return lambda value: relation(version_key(value), key)

    return build


def _membership(*, ignore_case: bool = False) -> Builder:
    def build(expected: Any, path: Path, scope: Scope) -> Test:
        if not isinstance(expected, ARRAY):
            scope.problem(path, f"takes a list, got {shown(expected)}")
            return never
        return _member_of(expected, ignore_case)

    return build


def _exclusion(*, ignore_case: bool = False) -> Builder:
    """Not the negation where the operand is no list: that is false as well."""

    def build(expected: Any, path: Path, scope: Scope) -> Test:
        test = _membership(ignore_case=ignore_case)(expected, path, scope)
        return negated(test) if isinstance(expected, ARRAY) else never

    return build


def _in_group(expected: Any, path: Path, scope: Scope) -> Test:
    """A group that is not there is empty, as in GrowthBook: it may be saved after the policy."""
    if not isinstance(expected, str):
        scope.problem(path, f"takes the name of a saved group, got {shown(expected)}")
    return _member_of(scope.saved_groups.get(to_text(expected)) or (), ignore_case=False)


def _not_in_group(expected: Any, path: Path, scope: Scope) -> Test:
    return negated(_in_group(expected, path, scope))


def _member_of(members: Sequence[Any], ignore_case: bool) -> Test:
    """Array.includes by hash, a set for each type since 1 and True are one key to Python.

    Of an array attribute one element must be in. An array or object as an element is in nothing: identity again.
    """
    by_type: dict[type, set[Any]] = {str: set(), bool: set(), type(None): set()}
    by_type[int] = by_type[float] = set()
    for member in members:
        if type(member) in by_type:
            by_type[type(member)].add(member.lower() if ignore_case and isinstance(member, str) else member)
    texts = by_type[str]
    members_of = by_type.get

    def holds(value: Any) -> bool:
        if type(value) is str:
            return (value.lower() if ignore_case else value) in texts
        of_type = members_of(type(value))
        return of_type is not None and value in of_type

    def test(value: Any) -> bool:
        return any(map(holds, value)) if isinstance(value, ARRAY) else holds(value)

    return test


def _contains_all(*, ignore_case: bool = False) -> Builder:
    def build(expected: Any, path: Path, scope: Scope) -> Test:
        if not isinstance(expected, ARRAY):
            scope.problem(path, f"takes a list, got {shown(expected)}")
            return never
        tests = [scope.on_value(one, (*path, i), ignore_case=ignore_case) for i, one in enumerate(expected)]
        return lambda value: isinstance(value, ARRAY) and all(any(map(test, value)) for test in tests)

    return build


def _element_match(expected: Any, path: Path, scope: Scope) -> Test:
    """Elements that JavaScript takes for false (null, false, 0, "") never match, as in sdk-js."""
    if not isinstance(expected, Mapping):
        scope.problem(path, f"takes operators or a condition on each element, got {shown(expected)}")
        return never
    wanted = expected.get("$eq")
    if len(expected) == 1 and isinstance(wanted, str) and wanted:
        return lambda value: isinstance(value, ARRAY) and wanted in value
    test = scope.on_value(expected, path) if is_operator_object(expected) else scope.on_fields(expected, path)
    return lambda value: isinstance(value, ARRAY) and any(truthy(element) and test(element) for element in value)


def _size(expected: Any, path: Path, scope: Scope) -> Test:
    if isinstance(expected, bool) or not (isinstance(expected, (int, float)) or is_operator_object(expected)):
        scope.problem(path, f"takes a number, or operators such as {{$gt: 2}}, got {shown(expected)}")
    test = scope.on_value(expected, path)
    return lambda value: isinstance(value, ARRAY) and test(len(value))


def _exists(expected: Any, path: Path, scope: Scope) -> Test:
    if not isinstance(expected, bool):
        scope.problem(path, f"takes true or false, got {shown(expected)}")
    return (lambda value: value is not None) if truthy(expected) else (lambda value: value is None)


def _type(expected: Any, path: Path, scope: Scope) -> Test:
    if expected not in TYPE_NAMES:
        scope.problem(path, f"takes one of {', '.join(TYPE_NAMES)}, got {shown(expected)}")
    return lambda value: type_of(value) == expected


def _pattern(*, ignore_case: bool = False) -> Builder:
    """RegExp.test reads any value as text: a missing attribute is "null". An invalid expression matches nothing."""

    def build(expected: Any, path: Path, scope: Scope) -> Test:
        if not isinstance(expected, str):
            scope.problem(path, f"takes a regular expression as text, got {shown(expected)}")
            return never
        try:
            found = compile_pattern(expected, ignore_case=ignore_case)
        except PatternError as error:
            scope.problem(path, f"RE2 refuses {shown(expected)}: {error}; write it in RE2's syntax (no look-around)")
            return never
        return lambda value: found(value if type(value) is str else to_text(value))

    return build


def _no_pattern(*, ignore_case: bool = False) -> Builder:
    """GrowthBook's own sdk-js has no $notRegex: its interface writes {$not: {$regex: ...}}, and this means the same."""
    build_pattern = _pattern(ignore_case=ignore_case)
    return lambda expected, path, scope: negated(build_pattern(expected, path, scope))


def _not(expected: Any, path: Path, scope: Scope) -> Test:
    return negated(scope.on_value(expected, path))


OPERATORS: Final[Mapping[str, Builder]] = {
    "$eq": _equal,
    "$ne": _not_equal,
    "$lt": _ordering(operator.lt),
    "$lte": _ordering(operator.le),
    "$gt": _ordering(operator.gt),
    "$gte": _ordering(operator.ge),
    "$veq": _version(operator.eq),
    "$vne": _version(operator.ne),
    "$vlt": _version(operator.lt),
    "$vlte": _version(operator.le),
    "$vgt": _version(operator.gt),
    "$vgte": _version(operator.ge),
    "$in": _membership(),
    "$ini": _membership(ignore_case=True),
    "$nin": _exclusion(),
    "$nini": _exclusion(ignore_case=True),
    "$inGroup": _in_group,
    "$notInGroup": _not_in_group,
    "$all": _contains_all(),
    "$alli": _contains_all(ignore_case=True),
    "$elemMatch": _element_match,
    "$size": _size,
    "$exists": _exists,
    "$type": _type,
    "$regex": _pattern(),
    "$regexi": _pattern(ignore_case=True),
    "$notRegex": _no_pattern(),
    "$notRegexi": _no_pattern(ignore_case=True),
    "$not": _not,
}
