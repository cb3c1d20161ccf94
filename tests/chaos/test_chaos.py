"""A short fire drill with every kind of fault; and one with a mistake in the workers, which it must name."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.chaos.faults import faults_of
from app.chaos.plan import Plan
from app.chaos.run import drill
from app.settings import PREFIX, Settings

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

# At the floor of one of each it ends by itself; a busy machine may take as long as this.
MINUTES_MAX = 8
COMMAND = [sys.executable, "-c", "from app.cli import main; main()", "chaos"]
SHORT = ("--workers", "2", "--seed", "7", "--rate", "200", "--least-rate", "150", "--least-each", "1", "--least-minute", "2")


def own_environment(folder: Path) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | {
        "TRUELIFT_DATA_DIR": str(folder)
    }


async def test_every_kind_of_fault_at_least_once_and_nothing_is_lost_repeated_wrong_or_rerolled(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    arguments = [*COMMAND, "--minutes", str(MINUTES_MAX), "--enough", *SHORT, "--json", str(report)]
    done = await asyncio.to_thread(
        subprocess.run, arguments, env=own_environment(tmp_path / "data"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(report.read_text())
    assert [found[name] for name in ("lost", "duplicated", "wrong", "rerolled")] == [0, 0, 0, 0]
    assert found["kinds"].keys() == {fault.kind for fault in faults_of(range(1, 4))}
    happened = {kind: of["count"] for kind, of in found["kinds"].items() if of["impossible"] is None}
    assert min(happened.values()) >= 1
    assert found["check"]["journal"]["rejected"] > 0
    assert found["check"]["exposures"]
    assert found["check"]["outcomes"] is not None
    assert found["check"]["unchecked"] == []
    assert found["check"]["stores"]["current"] > 0
    assert found["verify"]["identical"] == found["verify"]["records"] == sum(found["check"]["journal"].values())


# What a store that was written too soon shows itself as.
NAMED = ("row_wrong", "store_differs", "zombie_write")


async def test_with_stores_written_before_the_commit_the_drill_fails_and_says_so(tmp_path: Path) -> None:
    """The negative control. A killed worker must come back to its own store, so its session is long."""
    plan = Plan(
        minutes=3, workers=2, brokers=1, rate=150, least_rate=1, least_each=3, least_each_minute=0,
        only=("killed_before_commit",), stop_when_enough=True, session_timeout_seconds=60,
        planted={"plan": {"apply_before_commit": True}},
    )  # fmt: skip
    report = await drill(Settings(data_dir=tmp_path), plan, lambda _: None)
    assert len(report.happened.seconds["killed_before_commit"]) >= 3
    found = " ".join(report.failures())
    assert any(f"check: {name}" in found for name in NAMED), found
    assert "replay verify: different" in found
    assert report.bad()["wrong"] > 0
    assert not report.as_json()["clean"]
