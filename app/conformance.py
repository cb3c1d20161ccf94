"""Runs GrowthBook's language-neutral test cases (sdk-js's cases.json, specification 0.8.0) against the engine.

Owns reading the file and comparing section by section. Refuses to guess: a section that the engine has no counterpart for
(feature, run, ...) is named as skipped, never counted as passed; a case of another shape than the specification's ends the
run with its place, for a file that is misread proves nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from app.engine.bucketing import bucket_ranges, choose_variation, equal_weights, hash_unit, in_namespace
from app.engine.conditions import compile_condition
from app.errors import CallerError

# The cases carry weights and range ends cut to eight decimal places.
DECIMALS_TOLERANCE: Final = 1.5e-8
FILE_REMEDY: Final = "Give a file in the format of growthbook/growthbook packages/sdk-js/test/cases.json"


class Failure(NamedTuple):
    """A case whose result is not the expected one."""

    name: str
    expected: Any
    got: Any


class SectionResult(NamedTuple):
    """What became of one section's cases."""

    section: str
    passed: int
    failures: tuple[Failure, ...]

    @property
    def failed(self) -> int:
        return len(self.failures)


class Report(NamedTuple):
    """Results in the order of the file; skipped: the sections without a counterpart here, with their case counts."""

    spec_version: str
    sections: tuple[SectionResult, ...]
    skipped: Mapping[str, int]

    @property
    def passed(self) -> int:
        return sum(result.passed for result in self.sections)

    @property
    def failed(self) -> int:
        return sum(result.failed for result in self.sections)


class _Outcome(NamedTuple):
    name: str
    expected: Any
    got: Any


def run_growthbook_file(path: Path) -> Report:
    """Runs every case of the file. Raises CallerError when it is missing or is not in the format."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CallerError(f"cannot read {str(path)!r}: {error.strerror}", FILE_REMEDY) from None
    try:
        cases = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise CallerError(f"{str(path)!r} is not JSON: {error}", FILE_REMEDY) from None
    return run_growthbook_cases(cases)


def run_growthbook_cases(cases: Any) -> Report:
    """Runs every case of a parsed file. Raises CallerError when it is not in the format."""
    if not isinstance(cases, dict) or not any(section in cases for section in SECTIONS):
        raise CallerError(f"no section of {', '.join(SECTIONS)} is there", FILE_REMEDY)
    return Report(
        spec_version=str(cases.get("specVersion", "unknown")),
        sections=tuple(_run_section(name, cases[name]) for name in cases if name in SECTIONS),
        skipped={
            name: len(content) for name, content in cases.items() if name not in SECTIONS and isinstance(content, (list, dict))
        },
    )


def _run_section(section: str, cases: Any) -> SectionResult:
    outcomes = list(_outcomes(section, cases))
    failures = tuple(Failure(*outcome) for outcome in outcomes if not _agree(outcome.got, outcome.expected))
    return SectionResult(section, len(outcomes) - len(failures), failures)


def _outcomes(section: str, cases: Any) -> Iterator[_Outcome]:
    if not isinstance(cases, list):
        raise CallerError(f"section {section} is no list of cases", FILE_REMEDY)
    run = SECTIONS[section]
    for index, case in enumerate(cases):
        try:
            yield run(*case)
        except (TypeError, ValueError, AttributeError) as error:
            shape = f"case {index} of section {section} is not in the specification's shape ({error})"
            raise CallerError(shape, FILE_REMEDY) from error


def _agree(got: Any, expected: Any) -> bool:
    """Equal, type for type; floats of ranges and weights within the file's rounding."""
    if isinstance(got, list):
        return isinstance(expected, list) and len(got) == len(expected) and all(map(_near, got, expected))
    return type(got) is type(expected) and bool(got == expected)


def _near(got: Any, expected: Any) -> bool:
    if isinstance(got, list):
        return _agree(got, expected)
    return isinstance(expected, (int, float)) and abs(float(got) - expected) <= DECIMALS_TOLERANCE


def _eval_condition(
    name: str, condition: dict[str, Any], attributes: dict[str, Any], expected: bool, groups: Any = None
) -> _Outcome:
    return _Outcome(name, expected, compile_condition(condition, groups or {}, strict=False)(attributes))


def _hash(seed: str, value: str, version: int, expected: float | None) -> _Outcome:
    got = hash_unit(seed, value, version)
    return _Outcome(f"hash({seed!r}, {value!r}, {version})", None if expected is None else float(expected), got)


def _get_bucket_range(name: str, arguments: list[Any], expected: list[Any]) -> _Outcome:
    return _Outcome(name, expected, [list(one) for one in bucket_ranges(*arguments)])


def _choose_variation(name: str, position: float, ranges: list[Any], expected: int) -> _Outcome:
    return _Outcome(name, expected, choose_variation(position, ranges))


def _in_namespace(name: str, value: str, namespace: list[Any], expected: bool) -> _Outcome:
    label, start, end = namespace
    return _Outcome(name, expected, in_namespace(value, (label, start, end)))


def _get_equal_weights(count: int, expected: list[float]) -> _Outcome:
    return _Outcome(f"getEqualWeights({count})", expected, equal_weights(count))


SECTIONS: Final[Mapping[str, Callable[..., _Outcome]]] = {
    "evalCondition": _eval_condition,
    "hash": _hash,
    "getBucketRange": _get_bucket_range,
    "chooseVariation": _choose_variation,
    "inNamespace": _in_namespace,
    "getEqualWeights": _get_equal_weights,
}
