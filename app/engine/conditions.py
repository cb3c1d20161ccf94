"""The GrowthBook condition language (SDK specification 0.8.0), compiled once into closures.

Owns structure: dotted paths, $and, $or, $nor, $not, plain values, and the collecting of problems. Operators on a value
are operators.py, JavaScript's coercions coercion.py. Refuses to interpret: after compile_condition nothing reads the
condition again, and an evaluation does no I/O and raises nothing, whatever the event holds.

Strict is for authors: every problem of a condition at once. Lenient does what sdk-js does with a condition that is
already out there: an unknown operator or an invalid expression is false. Where a condition has no sensible reading at
all (a $or that is no list, say) the whole of it is false, so that no $not around it turns an error into a match.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from app.engine.coercion import ARRAY, is_array_index, same_json, to_number, to_text, truthy
from app.engine.operators import OPERATORS, Path, Test, always, is_operator_object, negated, never, shown
from app.errors import CallerError

Condition = Callable[[Mapping[str, Any]], bool]

NO_GROUPS: Final[Mapping[str, Sequence[Any]]] = MappingProxyType({})

# Compiling and evaluating recurse along the condition, so its depth is bounded; the deepest sensible one has about ten.
CONDITION_DEPTH_MAX: Final = 64


class Problem(NamedTuple):
    """One thing wrong with a condition: the keys and indices that lead to it, and what would be right."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{path_text(self.path)}: {self.message}" if self.path else self.message


class ConditionError(CallerError):
    """A condition that a strict reading refuses, with all its problems in reading order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        listed = "; ".join(map(str, problems))
        super().__init__(f"the condition is refused: {listed}", "Mend the condition at the places named")
        self.problems = list(problems)


def compile_condition(
    condition: Mapping[str, Any],
    saved_groups: Mapping[str, Sequence[Any]] = NO_GROUPS,
    *,
    strict: bool = True,
    roots: Collection[str] | None = None,
) -> Condition:
    """The function of the attributes that `condition` stands for; an empty condition is true.

    strict: raises ConditionError with all problems; otherwise as sdk-js behaves. roots: the first names that a path may
    have (event, context, ...), checked by the strict reading only; None allows any.
    """
    compiler = _Compiler(saved_groups, roots)
    test = compiler.on_fields(condition, ())
    if strict:
        compiler.problems.extend(_not_json(condition, ()))
        if compiler.problems:
            raise ConditionError(compiler.problems)
    return never if compiler.is_malformed else test


def groups_named(condition: Any) -> frozenset[str]:
    """Names of the saved groups that a condition refers to, for a check against those that are saved."""
    if isinstance(condition, Mapping):
        named = {v for k, v in condition.items() if k in ("$inGroup", "$notInGroup") and isinstance(v, str)}
        return frozenset(named).union(*map(groups_named, condition.values()))
    if isinstance(condition, ARRAY):
        return frozenset[str]().union(*map(groups_named, condition))
    return frozenset()


def names_root(condition: Any, root: str) -> bool:
    """Whether a path of the condition begins with `root`, at any depth."""
    if isinstance(condition, Mapping):
        return any(str(key).split(".", 1)[0] == root or names_root(inner, root) for key, inner in condition.items())
    return isinstance(condition, ARRAY) and any(names_root(one, root) for one in condition)


def path_text(path: Path) -> str:
    """A path as messages show it: $and[0].context.route.$regex."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


class _Compiler:
    """One pass over one condition: returns tests, collects problems. The Scope that the operators build in."""

    def __init__(self, saved_groups: Mapping[str, Sequence[Any]], roots: Collection[str] | None) -> None:
        self.saved_groups = saved_groups
        self.problems: list[Problem] = []
        self.is_malformed = False
        self._roots = roots

    def problem(self, path: Path, message: str) -> None:
        self.problems.append(Problem(path, message))

    def malformed(self, path: Path, message: str) -> Test:
        self.is_malformed = True
        self.problem(path, message)
        return never

    def on_fields(self, condition: Any, path: Path) -> Test:
        """A condition on an object: paths to values, joined by and, beside the logical operators."""
        if not isinstance(condition, Mapping):
            return self.malformed(path, f"takes a condition such as {{context.route: /app}}, got {shown(condition)}")
        if len(path) > CONDITION_DEPTH_MAX:
            return self.malformed(path, f"is deeper than {CONDITION_DEPTH_MAX} levels; flatten it")
        return _all_of([self._on_field(key, operand, (*path, str(key))) for key, operand in condition.items()])

    def on_value(self, expected: Any, path: Path, *, ignore_case: bool = False) -> Test:
        """A plain value that the attribute is compared with, or operators on it."""
        if isinstance(expected, str):
            return _same_text(expected, ignore_case)
        if isinstance(expected, bool):
            return lambda value: value is not None and truthy(value) is expected
        if isinstance(expected, (int, float)):
            return _same_number(expected)
        if expected is None:
            return lambda value: value is None
        if is_operator_object(expected):
            return self._on_operators(expected, path)
        if isinstance(expected, Mapping) and any(str(key).startswith("$") for key in expected):
            self.problem(path, f"mixes operators with fields, got {shown(expected)}; use one or the other")
        return lambda value: same_json(value, expected)

    def _on_field(self, key: Any, operand: Any, path: Path) -> Test:
        if not isinstance(key, str):
            return self.malformed(path, f"is a key of type {type(key).__name__}; quote it")
        if key in ("$and", "$or", "$nor"):
            return self._on_list(key, operand, path)
        if key == "$not":
            return negated(self.on_fields(operand, path))
        self._check_path(key, path)
        return _at_path(key.split("."), self.on_value(operand, path))

    def _on_list(self, key: str, operand: Any, path: Path) -> Test:
        if not isinstance(operand, ARRAY):
            return self.malformed(path, f"takes a list of conditions, got {shown(operand)}")
        tests = [self.on_fields(condition, (*path, index)) for index, condition in enumerate(operand)]
        if key == "$and":
            return _all_of(tests)
        return _any_of(tests) if key == "$or" else negated(_any_of(tests))

    def _on_operators(self, operators: Mapping[str, Any], path: Path) -> Test:
        if len(path) > CONDITION_DEPTH_MAX:
            return self.malformed(path, f"is deeper than {CONDITION_DEPTH_MAX} levels; flatten it")
        tests: list[Test] = []
        for name, operand in operators.items():
            build = OPERATORS.get(name)
            if build is None:
                self.problem((*path, name), _unknown_operator(name))
            tests.append(build(operand, (*path, name), self) if build else never)
        return _all_of(tests)

    def _check_path(self, key: str, path: Path) -> None:
        """Only the strict reading minds: GrowthBook takes any other key for a path, $groups included."""
        if key.startswith("$"):
            known = f"put it under a path, as in {{context.route: {{{key}: ...}}}}"
            self.problem(path, f"{key} tests a value: {known}" if key in OPERATORS else _unknown_operator(key))
        elif self._roots is not None and "$elemMatch" not in path and key.split(".")[0] not in self._roots:
            self.problem(path, f"no attribute begins so; paths begin with {', '.join(sorted(self._roots))}")


def _unknown_operator(name: str) -> str:
    if name in ("$and", "$or", "$nor"):
        return f"{name} joins conditions and does not test a value; put the paths inside its list"
    near = get_close_matches(name, [*OPERATORS, "$and", "$or", "$nor"], n=1)
    return f"{name} is no operator" + (f"; did you mean {near[0]}?" if near else f"; there are {', '.join(OPERATORS)}")


def _not_json(value: Any, path: Path) -> Iterator[Problem]:
    """Operands that JSON cannot hold; YAML makes them silently from an unquoted date or .inf."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _not_json(inner, (*path, str(key)))
    elif isinstance(value, ARRAY):
        for index, inner in enumerate(value):
            yield from _not_json(inner, (*path, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, f"{value} is no JSON number")
    elif value is not None and not isinstance(value, (str, int, float)):
        yield Problem(path, f"is a {type(value).__name__} ({shown(value)}), which JSON cannot hold; quote it")


def _same_text(expected: str, ignore_case: bool) -> Test:
    """value + "" === expected: 5 is "5", and a missing attribute "null"."""
    if ignore_case:
        folded = expected.lower()
        return lambda value: to_text(value).lower() == folded
    return lambda value: value == expected if type(value) is str else to_text(value) == expected


def _same_number(expected: float) -> Test:
    """value * 1 === expected: "5" is 5, and a missing attribute 0."""

    def test(value: Any) -> bool:
        return (value if type(value) is int or type(value) is float else to_number(value)) == expected

    return test


def _all_of(tests: Sequence[Test]) -> Test:
    if not tests:
        return always
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda value: first(value) and second(value)

    def test(value: Any) -> bool:
        for one in tests:  # noqa: SIM110 - all() over a generator costs twice as much here
            if not one(value):
                return False
        return True

    return test


def _any_of(tests: Sequence[Test]) -> Test:
    """An empty $or is true, as the specification says."""
    return (lambda value: any(one(value) for one in tests)) if tests else always


def _at_path(steps: Sequence[str], test: Test) -> Test:
    """`test` on the value at the path, None where the path ends early. Depths one and two are nearly all there is."""
    if len(steps) == 1:
        (only,) = steps
        return lambda obj: test(obj.get(only) if type(obj) is dict else _step(obj, only))
    if len(steps) == 2:
        first, second = steps

        def at_second(obj: Any) -> bool:
            inner = obj.get(first) if type(obj) is dict else _step(obj, first)
            return test(inner.get(second) if type(inner) is dict else _step(inner, second))

        return at_second

    def at_depth(obj: Any) -> bool:
        for step in steps:
            obj = _step(obj, step)
        return test(obj)

    return at_depth


def _step(obj: Any, key: str) -> Any:
    """One step down. As in JavaScript an array has indices and a length; anything else but an object has nothing."""
    if isinstance(obj, Mapping):
        return obj.get(key)
    if isinstance(obj, ARRAY):
        if is_array_index(key, len(obj)):
            return obj[int(key)]
        return len(obj) if key == "length" else None
    return None
