"""One real broker for the whole session; each test has topics, group and folders of its own by a unique prefix."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.stream.broker import EmbeddedBroker

_serial = itertools.count(1)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of the session's broker: TRUELIFT_BROKER's, else an embedded one."""
    if address := os.environ.get("TRUELIFT_BROKER"):
        yield address
        return
    with EmbeddedBroker(tmp_path_factory.mktemp("kafka")) as embedded:
        yield embedded.address


@pytest.fixture
def make_settings(broker: str, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of one installation: the same unique names at each call in a test, any field replaced by argument."""
    name = f"t{os.getpid()}-{next(_serial)}"

    def make(**changes: Any) -> Settings:
        defaults: dict[str, Any] = {
            "broker": broker,
            "data_dir": tmp_path / "truelift",
            "app_id": name,
            "topic_prefix": f"{name}.",
        }
        return Settings(**(defaults | changes))

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()
