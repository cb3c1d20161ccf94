"""Twenty thousand model decisions are the same bytes in other processes, with other hash seeds and on other Pythons."""

import subprocess
import sys

import pytest

from tests.engine.models.many import digest
from tests.engine.test_golden import CHECK_TIMEOUT_SECONDS, ROOT, environment, other_pythons, python_with_requirements

RUN = ("-m", "tests.engine.models.many")


def digest_of(python: str, **variables: str) -> str:
    done = subprocess.run(
        [python, *RUN], env=environment(**variables), cwd=ROOT, capture_output=True, text=True, timeout=CHECK_TIMEOUT_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_other_hash_seeds_and_locales() -> None:
    assert digest_of(sys.executable, PYTHONHASHSEED="4711", LC_ALL="tr_TR.UTF-8", TZ="Pacific/Apia") == digest()


@pytest.mark.slow
def test_other_pythons() -> None:
    others = other_pythons()
    if not others:
        pytest.skip(f"no Python 3.11 or newer is here beside {sys.version_info.major}.{sys.version_info.minor}")
    assert {digest_of(str(python_with_requirements(minor, python))) for minor, python in others.items()} == {digest()}
