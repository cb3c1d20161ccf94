"""Small demos as a person starts them: one that shows everything, and one that misses something and says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.stream.broker_folder import folder_of

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

SMALL = ["--purchases", "2000", "--users", "400", "--rate", "400"]
LIMIT_SECONDS = 300


def demo(data_dir: Path, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRUELIFT_")}
    environment |= {"TRUELIFT_DATA_DIR": str(data_dir), **more}
    command = [sys.executable, "-c", "from app.cli import main; main()", "demo", *SMALL, *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LIMIT_SECONDS, check=False)


def test_a_small_demo_shows_everything_and_leaves_no_process_behind(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every expectation holds" in done.stdout
    assert "lost 0, duplicated 0, rerolled 0" in done.stdout
    assert folder_of(tmp_path / "demo").running() is None
    assert not processes_of(tmp_path)


def test_a_demo_without_its_kill_fails_and_names_what_is_missing(tmp_path: Path, broker: str) -> None:
    """The negative control, on a cluster that is there already."""
    done = demo(tmp_path, "--skip", "kill", "--skip", "drill", TRUELIFT_BROKER=broker)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "reason killed never occurred" in done.stdout
    assert not processes_of(tmp_path)


def test_an_unknown_scene_is_refused(tmp_path: Path) -> None:
    done = demo(tmp_path, "--skip", "interval")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no scene 'interval'")


def processes_of(data_dir: Path) -> list[str]:
    """Processes whose command line or environment names the folder."""
    wanted = str(data_dir).encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if wanted in said:
            found.append(process.name)
    return found
