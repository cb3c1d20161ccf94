"""The command `conformance growthbook`: its table, its JSON, its exit codes, and what it says of a file it cannot use."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from app.conformance import run_growthbook_cases
from app.conformance_commands import commands
from app.errors import CallerError

CASES = Path(__file__).parents[1] / "data" / "growthbook_cases.json"


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(commands, ["growthbook", *arguments])


def written(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "cases.json"
    path.write_bytes(content if isinstance(content, bytes) else orjson.dumps(content))
    return str(path)


def test_the_table_shows_each_section_and_the_exit_code_is_zero() -> None:
    result = invoke(str(CASES))

    assert result.exit_code == 0
    for section in ("evalCondition", "hash", "getBucketRange", "chooseVariation", "inNamespace", "getEqualWeights"):
        assert section in result.output
    assert "163" in result.output


def test_json_carries_the_figures() -> None:
    result = invoke(str(CASES), "--json")

    report = orjson.loads(result.output)
    assert result.exit_code == 0
    assert (report["spec_version"], report["passed"], report["failed"], report["skipped"]) == ("0.8.0", 163, 0, {})
    assert report["sections"]["hash"] == {"passed": 9, "failed": 0, "failures": []}


def test_a_failing_case_is_named_with_both_values_and_the_exit_code_is_one(tmp_path: Path) -> None:
    path = written(tmp_path, {"evalCondition": [["fine", {}, {}, True], ["wrong [one]", {"a": 1}, {"a": 2}, True]]})

    plain, as_json = invoke(path), invoke(path, "--json")

    assert plain.exit_code == as_json.exit_code == 1
    assert "evalCondition: wrong [one]: expected True, got False" in plain.output
    section = orjson.loads(as_json.output)["sections"]["evalCondition"]
    assert section == {
        "passed": 1,
        "failed": 1,
        "failures": [{"name": "wrong [one]", "expected": True, "got": False}],
    }


def test_sections_without_a_counterpart_are_skipped_by_name_and_not_counted(tmp_path: Path) -> None:
    path = written(tmp_path, {"specVersion": "0.8.0", "feature": [["a"], ["b"]], "stickyBucket": [], "hash": []})

    result = invoke(path)

    assert result.exit_code == 0
    assert "feature (2), stickyBucket (0)" in result.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"),
        ([], "no section of"),
        ({"feature": []}, "no section of"),
        ({"hash": {}}, "section hash is no list"),
        ({"hash": [["seed", "value", 2]]}, "case 0 of section hash"),
        ({"hash": [["seed", 5, 2, 0.5]]}, "case 0 of section hash"),
        ({"inNamespace": [["name", "1", ["n", 0], True]]}, "case 0 of section inNamespace"),
        ({"evalCondition": [7]}, "case 0 of section evalCondition"),
    ],
)
def test_a_malformed_file_is_the_callers_error_and_says_where(tmp_path: Path, content: Any, said: str) -> None:
    result = invoke(written(tmp_path, content))

    assert isinstance(result.exception, CallerError)
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.exception.exit_code == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = invoke(str(tmp_path / "nowhere.json"))

    assert isinstance(result.exception, CallerError)
    assert "nowhere.json" in str(result.exception)


@pytest.mark.parametrize("expected", [[[0, 0.5], [0.5, 0.99]], [[0, 0.5]], "half", None, [["x", 0.5], [0.5, 1]]])
def test_a_wrong_range_is_a_failure(expected: Any) -> None:
    report = run_growthbook_cases({"getBucketRange": [["halves", [2, 1, None], expected]]})

    assert report.failed == 1


def test_a_bool_is_not_a_number() -> None:
    assert run_growthbook_cases({"chooseVariation": [["first", 0.1, [[0, 0.5], [0.5, 1]], False]]}).failed == 1
