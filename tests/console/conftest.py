"""A whole installation with a console on it, two people who may log in, and a browser."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from app.chaos.worker import environment
from app.console.locked_keys import LockedKeys
from app.governance.keys import load_key
from app.stream.child import Child, truelift
from app.stream.ports import kept_ports
from tests.edge.browser.driver import Browser, missing, wait_for
from tests.edge.playground import Playground, playground_in

PASSPHRASE = "correct horse battery"
SAID = re.compile(r"console at (\S+)")


class Console(NamedTuple):
    playground: Playground
    url: str


@pytest.fixture(scope="session")
def console(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_in(tmp_path_factory.mktemp("console"), broker) as found:
        yield found


@pytest.fixture(scope="session")
def staged(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One of its own for scenes, whose warehouse tells of weeks that its topics have not."""
    with console_in(tmp_path_factory.mktemp("staged"), broker) as found:
        yield found


@contextmanager
def console_in(folder: Path, broker: str) -> Iterator[Console]:
    port = kept_ports(folder / "console-port.json", ["console"], {})["console"]
    with playground_in(folder, broker, f"console{port}", "https://app.example.com") as playground:
        settings = playground.settings.model_copy(update={"console_port": port})
        for name in ("ann", "bob"):
            LockedKeys(settings.console() / "keys").lock(load_key(settings, name), PASSPHRASE)
        process = Child("console", truelift("console"), environment(settings), Path(folder / "console.log")).start()
        try:
            found = wait_for(lambda: SAID.search(process.log), "the console's address", 30)
            yield Console(playground, found.group(1))
        finally:
            process.process.terminate()
            process.process.wait()
            print(process.log)  # noqa: T201 -- pytest shows it when a test failed


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if reason := missing():
        pytest.skip(reason)
    with Browser(tmp_path) as browser:
        yield browser
