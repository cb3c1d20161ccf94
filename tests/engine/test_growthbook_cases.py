"""GrowthBook's own cases, and the answers that its JavaScript SDK gave to generated ones, through the conformance runner."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from app import conformance
from app.engine import bucketing

DATA = Path(__file__).parents[1] / "data"
FILES = ("growthbook_cases.json", "growthbook_edge_cases.json")


def cases() -> list[Any]:
    return [
        pytest.param(section, case, id=f"{section}-{case[0]}")
        for name in FILES
        for section, rows in orjson.loads((DATA / name).read_bytes()).items()
        if isinstance(rows, list)
        for case in rows
    ]


@pytest.mark.parametrize(("section", "case"), cases())
def test_the_case_passes(section: str, case: list[Any]) -> None:
    report = conformance.run_growthbook_cases({section: [case]})

    assert report.sections[0].failures == ()
    assert report.passed == 1


@pytest.fixture
def _fresh_hashes() -> Any:
    """Broken hashes must not be hidden by, nor survive in, the memory of good ones."""
    bucketing.hash_unit.cache_clear()
    bucketing._state_after.cache_clear()
    yield
    bucketing.hash_unit.cache_clear()
    bucketing._state_after.cache_clear()


@pytest.mark.usefixtures("_fresh_hashes")
@pytest.mark.parametrize(
    ("constant", "wrong"), [("FNV_PRIME", 0x01000195), ("FNV_OFFSET_BASIS", 0x811C9DC4), ("UINT32_MASK", 0x7FFFFFFF)]
)
@pytest.mark.parametrize("name", FILES)
def test_a_broken_hash_is_found_by_the_vectors(name: str, constant: str, wrong: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucketing, constant, wrong)

    report = conformance.run_growthbook_file(DATA / name)

    assert {result.section for result in report.sections if result.failed} >= {"hash"}


@pytest.mark.usefixtures("_fresh_hashes")
def test_hashing_bytes_instead_of_utf16_units_is_found_by_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucketing, "_code_units", lambda text: text.encode())

    report = conformance.run_growthbook_file(DATA / "growthbook_edge_cases.json")

    assert {result.section for result in report.sections if result.failed} == {"hash"}


def test_a_condition_that_ignores_its_operator_is_found_by_the_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "compile_condition", lambda *args, **options: lambda attributes: True)

    report = conformance.run_growthbook_file(DATA / FILES[0])

    assert report.failed > 50
