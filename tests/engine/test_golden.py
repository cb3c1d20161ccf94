"""The golden journal is the same to the byte: here, under other hash seeds, locales and time zones, and on other Pythons."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.contract.journal import REASONS
from tables.memory import MemoryState
from tests.engine import golden

ROOT = Path(__file__).parents[2]
CHECK = ("-m", "tests.engine.golden")
CHECK_TIMEOUT_SECONDS = 60
INSTALL_TIMEOUT_SECONDS = 300

# What the engine imports, and what those need: the names as they stand in requirements.lock.
ENGINE_NEEDS = (
    "orjson", "pydantic", "pydantic-core", "annotated-types", "typing-inspection", "typing-extensions", "google-re2", "rfc8785",
)  # fmt: skip
SUPPORTED_MINORS = range(11, 20)


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG"))}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | changes


def journals() -> list[Any]:
    outputs = [output for line in golden.read_journal() for output in line["outputs"]]
    return [orjson.loads(output["value"]) for output in outputs if output["topic"] == "decisions"]


def test_the_golden_journal_is_what_this_engine_writes() -> None:
    lines = golden.read_journal()
    assert golden.to_bytes(golden.play(lines, golden.read_governance())) == golden.JOURNAL.read_bytes()


def test_the_golden_journal_holds_every_status_and_reason_of_the_engine() -> None:
    records = journals()
    assert {record["status"] for record in records} == {
        "decided", "no_match", "duplicate", "rejected", "exposed", "outcome", "fired",
    }  # fmt: skip
    reasons = {decision["reason"] for record in records for decision in record["decisions"]}
    assert set(REASONS) - reasons == {"model_unavailable", "identity_pending"}


def test_the_golden_journal_is_the_same_in_other_processes_locales_time_zones_and_without_asserts() -> None:
    runs = {
        "seed 0": (environment(PYTHONHASHSEED="0", LC_ALL="C", TZ="UTC"), ()),
        "seed 12345": (environment(PYTHONHASHSEED="12345", LC_ALL="tr_TR.UTF-8", TZ="Pacific/Apia"), ()),
        "optimised": (environment(PYTHONHASHSEED="1", LC_ALL="de_DE.UTF-8", TZ="America/St_Johns", PYTHONUTF8="0"), ("-OO",)),
    }
    started = {
        name: subprocess.Popen(
            [sys.executable, *options, *CHECK], env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for name, (env, options) in runs.items()
    }
    for name, process in started.items():
        said, _ = process.communicate(timeout=CHECK_TIMEOUT_SECONDS)
        assert (process.returncode, said[:9]) == (0, "identical"), f"{name}: {said}"


def other_pythons() -> dict[str, str]:
    """One interpreter for each other minor version that is installed here: minor -> path."""
    found: dict[str, str] = {}
    for minor in SUPPORTED_MINORS:
        name = f"python3.{minor}"
        candidates = [shutil.which(name), *sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/{name}"))]
        runnable = [str(path) for path in candidates if path is not None and _runs(str(path))]
        if runnable and minor != sys.version_info.minor:
            found[f"3.{minor}"] = runnable[-1]
    return found


def _runs(python: str) -> bool:
    """A shim of a version manager is there without the version behind it."""
    return subprocess.run([python, "-c", "import venv"], capture_output=True, check=False).returncode == 0


def locked_requirements() -> str:
    """requirements.lock restricted to what the engine needs, hashes included."""
    lock = (ROOT / "requirements.lock").read_text()
    found = [re.search(rf"^{name}==.*\\\n(?:    --hash=.*\n)+", lock, flags=re.MULTILINE) for name in ENGINE_NEEDS]
    missing = [name for name, match in zip(ENGINE_NEEDS, found, strict=True) if match is None]
    assert not missing
    return "".join(match.group(0) for match in found if match is not None)


def python_with_requirements(minor: str, python: str) -> Path:
    """The interpreter of an environment that is made once for each set of requirements and kept under .truelift/."""
    requirements = locked_requirements()
    folder = ROOT / ".truelift" / "pythons" / f"{minor}-{blake2b(requirements.encode(), digest_size=6).hexdigest()}"
    made = folder / "bin" / "python"
    if (folder / "complete").exists():
        return made
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(folder)], check=True, capture_output=True)
    (folder / "requirements.txt").write_text(requirements)
    command = [str(made), "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:"]
    installed = subprocess.run(
        [*command, "--requirement", str(folder / "requirements.txt")],
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_SECONDS,
    )
    if installed.returncode != 0:
        pytest.skip(f"the locked requirements cannot be installed for Python {minor}: {installed.stderr.strip()[-300:]}")
    (folder / "complete").touch()
    return made


@pytest.mark.slow
def test_the_golden_journal_is_the_same_on_every_other_python_that_is_here() -> None:
    others = other_pythons()
    if not others:
        pytest.skip(f"no Python 3.11 or newer is here beside {sys.version_info.major}.{sys.version_info.minor}")
    for minor, python in others.items():
        run = subprocess.run(
            [str(python_with_requirements(minor, python)), *CHECK],
            env=environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=CHECK_TIMEOUT_SECONDS,
        )
        assert run.stdout.startswith("identical"), run.stdout + run.stderr
        assert f"on Python {minor}." in run.stdout


def first_difference(lines: list[Any], governance: Any, state: MemoryState | None = None) -> tuple[int, str] | None:
    """(number of the first line, its field) that differs from what is committed."""
    for number, (line, again) in enumerate(zip(golden.read_journal(), golden.play(lines, governance, state), strict=True)):
        for field in ("outputs", "writes"):
            if line[field] != again[field]:
                return number, field
    return None


def test_a_planted_change_of_any_one_input_changes_the_bytes() -> None:
    governance = golden.read_governance()
    lines = golden.read_journal()
    planted = [i for i, line in enumerate(lines) if isinstance(line["value"], str) and '"u-1"' in line["value"]]
    assert len(planted) > 3
    for number in planted:
        changed = [dict(line) for line in lines]
        changed[number]["value"] = changed[number]["value"].replace('"session_id":"s-1"', '"session_id":"s-9"')
        if changed[number]["value"] != lines[number]["value"]:
            assert first_difference(changed, governance) == (number, "outputs")


@pytest.mark.parametrize(("field", "value"), [("now_us", 1), ("appended_us", 1000), ("offset", 100), ("partition", 1)])
def test_a_planted_change_of_a_moment_or_position_changes_the_bytes(field: str, value: int) -> None:
    lines = golden.read_journal()
    lines[5][field] += value
    assert first_difference(lines, golden.read_governance()) == (5, "outputs")


def test_a_missing_a_repeated_and_a_moved_record_change_the_bytes() -> None:
    governance, lines = golden.read_governance(), golden.read_journal()
    committed = golden.to_bytes(lines)
    decided = next(i for i, line in enumerate(lines) if '"assigned"' in str(line["outputs"]))
    for changed in (
        lines[:decided] + lines[decided + 1 :],
        lines[: decided + 1] + lines[decided:],
        [*lines[:decided], lines[decided + 1], lines[decided], *lines[decided + 2 :]],
    ):
        assert golden.to_bytes(golden.play(changed, governance)) != committed


def test_a_planted_state_row_changes_the_bytes() -> None:
    state = MemoryState()
    unit = next(
        output["key"] for line in golden.read_journal() for output in line["outputs"] if '"assigned"' in output["value"]
    )
    state.eligibility.put_bytes(unit.encode(), orjson.dumps({"counts": {"page_view": 1}}))  # type: ignore[attr-defined]
    found = first_difference(golden.read_journal(), golden.read_governance(), state)
    assert found is not None
    assert found[1] == "outputs"


@pytest.mark.parametrize(("field", "value"), [("coverage_permille", 899), ("phase", 2), ("state", "paused")])
def test_a_planted_change_of_a_policy_in_force_changes_the_bytes(field: str, value: Any) -> None:
    governance = golden.read_governance()
    governance["0"]["in_force"][0][field] = value
    assert first_difference(golden.read_journal(), governance) is not None


def test_a_planted_change_of_a_policys_body_or_of_the_catalogue_changes_the_bytes() -> None:
    changes: tuple[Callable[[Any], None], ...] = (
        lambda snapshot: snapshot["in_force"][0]["versions"]["1"].update(seed="other"),
        lambda snapshot: snapshot["catalogue"]["holdouts"]["global"].update(permille=101),
        lambda snapshot: snapshot["catalogue"]["bounds"].update(commit_allowance_ms=26),
    )
    for change in changes:
        governance = golden.read_governance()
        change(governance["0"])
        assert first_difference(golden.read_journal(), governance) is not None


def test_a_planted_change_of_one_gate_changes_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.gates.in_namespace", lambda unit, space: True)
    found = first_difference(golden.read_journal(), golden.read_governance())
    assert found is not None
    assert found[1] == "outputs"


def test_another_engine_semantics_changes_every_journal_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.record.ENGINE_SEMANTICS", 2)
    assert first_difference(golden.read_journal(), golden.read_governance()) == (0, "outputs")


def test_the_golden_journal_is_never_written_without_being_asked_to() -> None:
    before = golden.JOURNAL.read_bytes()
    run = subprocess.run(
        [sys.executable, "-m", "tests.engine.golden_run"], env=environment(), cwd=ROOT, capture_output=True, check=False
    )
    assert (run.returncode, golden.JOURNAL.read_bytes()) == (2, before)
