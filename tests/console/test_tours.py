"""The help's three tours: their commands as they stand, in their order; and the README tells the same."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.chaos.worker import environment
from app.console.tours import MAY_SAY_NO, TOURS, Tour, as_markdown
from app.demo.rules import OPERATOR
from app.governance.keyring import new_key
from app.governance.keys import key_exists
from tests.console.conftest import Console
from tests.console.test_worked_example import signal

ROOT = Path(__file__).parents[2]
COMMAND_SECONDS = 120
HEADING = "Tours of five minutes"


def test_the_readme_has_the_tours_of_the_help_page() -> None:
    readme = (ROOT / "README.md").read_text()
    if HEADING not in readme:
        pytest.skip(f"the README has no chapter {HEADING!r}")
    assert as_markdown() in readme


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("tour", TOURS, ids=lambda tour: tour.who.replace(" ", "_"))
def test_the_commands_of_a_tour_run_as_they_stand(console: Console, tmp_path: Path, tour: Tour) -> None:
    for number in range(4):
        signal(console, f"tourist-{number}", "/app/onboarding")
    settings = console.playground.settings
    if not key_exists(settings, OPERATOR):
        asyncio.run(new_key(settings, OPERATOR, OPERATOR, ("operator",), reason="the demo's operator"))
    here = {**os.environ, **environment(settings)}
    here["PATH"] = f"{Path(sys.executable).parent}:{here['PATH']}"
    for step in tour.steps:
        done = subprocess.run(
            ["/bin/sh", "-c", step.command], cwd=tmp_path, env=here, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
        allowed = (0, 1) if step.command.startswith(MAY_SAY_NO) else (0,)
        assert done.returncode in allowed, (step.command, done.stdout[-2_000:], done.stderr[-2_000:])
        assert done.stdout.strip(), step.command
