"""The parent that begins a worker again: which ends it answers, which it passes on, and that nobody outlives it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from app.stream.exits import ExitCode
from app.stream.respawn import RENEW, RESTARTS_MAX

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0


class Parent:
    """Runs `work` in children; each one adds a line with its pid to `log` first."""

    def __init__(self, folder: Path, work: str) -> None:
        self.log = folder / "children"
        program = (
            "import os, signal, sys, time\n"
            "from app.errors import OperatorError\n"
            "from app.stream.respawn import Respawn\n"
            f"log = {str(self.log)!r}\n"
            "def work():\n"
            "    with open(log, 'a') as file: file.write(f'{os.getpid()}\\n')\n"
            "    n = len(open(log).readlines())\n" + textwrap.indent(textwrap.dedent(work), "    ") + "\n"
            "sys.exit(Respawn(work).run())\n"
        )
        self.process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def children(self) -> list[int]:
        return [int(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def until_children(self, count: int) -> list[int]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.children()) < count:
            assert time.monotonic() < deadline, f"{self.children()} of {count}"
            time.sleep(0.01)
        return self.children()

    def end(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, said


@pytest.mark.parametrize("code", [ExitCode.KAFKA, ExitCode.FENCED, ExitCode.STORE_DAMAGED, ExitCode.DRAIN_TIMEOUT])
def test_an_end_by_doubt_is_answered_by_a_new_worker(tmp_path: Path, code: ExitCode) -> None:
    parent = Parent(tmp_path, f"return {int(code)} if n < 3 else 0")
    assert parent.end()[0] == 0
    assert len(parent.children()) == 3


def test_a_kill_is_answered_by_a_new_worker(tmp_path: Path) -> None:
    parent = Parent(tmp_path, "os.kill(os.getpid(), signal.SIGKILL) if n == 1 else None\nreturn 0")
    code, said = parent.end()
    assert (code, len(parent.children())) == (0, 2)
    assert "SIGKILL" in said


@pytest.mark.parametrize("code", [0, ExitCode.OPERATOR, ExitCode.INTERNAL])
def test_what_a_person_must_see_to_is_passed_on(tmp_path: Path, code: int) -> None:
    parent = Parent(tmp_path, f"return {int(code)}")
    assert parent.end()[0] == code
    assert len(parent.children()) == 1


def test_an_error_of_a_child_is_one_line_and_its_code(tmp_path: Path) -> None:
    code, said = Parent(tmp_path, "raise OperatorError('no disk', 'Add one')").end()
    assert (code, said) == (ExitCode.OPERATOR, "error: no disk. Add one\n")


def test_a_bug_is_told_with_its_traceback(tmp_path: Path) -> None:
    code, said = Parent(tmp_path, "raise ZeroDivisionError('planted')").end()
    assert code == ExitCode.INTERNAL
    assert "ZeroDivisionError: planted" in said


def test_one_that_ends_again_and_again_is_given_up(tmp_path: Path) -> None:
    parent = Parent(tmp_path, f"return {int(ExitCode.KAFKA)}")
    assert parent.end()[0] == ExitCode.KAFKA
    assert len(parent.children()) == RESTARTS_MAX + 1


def test_a_renewal_is_no_failure(tmp_path: Path) -> None:
    parent = Parent(tmp_path, f"return {RENEW} if n <= {RESTARTS_MAX + 5} else 0")
    assert parent.end()[0] == 0
    assert len(parent.children()) == RESTARTS_MAX + 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_worker_and_its_drain_ends_both(tmp_path: Path, number: signal.Signals) -> None:
    parent = Parent(
        tmp_path,
        f"""
        asked = []
        signal.signal({int(number)}, lambda *_: asked.append(1))
        open(log + '.ready', 'w').close()
        while not asked:
            time.sleep(0.01)
        return {int(ExitCode.DRAIN_TIMEOUT)}
        """,
    )
    ready = Path(f"{parent.log}.ready")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ready.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    parent.process.send_signal(number)
    assert parent.end()[0] == ExitCode.DRAIN_TIMEOUT  # an end that was asked for is not answered
    assert len(parent.children()) == 1


def test_the_worker_does_not_outlive_its_parent(tmp_path: Path) -> None:
    parent = Parent(tmp_path, "time.sleep(60)\nreturn 0")
    (child,) = parent.until_children(1)
    parent.process.kill()
    parent.process.communicate()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    """A zombie that nobody has waited for has ended."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
