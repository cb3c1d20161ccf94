"""One secure broker for the session: TLS, SCRAM users, an authorizer that denies by default and logs every decision."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.stream.broker import EmbeddedBroker
from app.stream.broker_security import ADMIN, BrokerSecurity

_serial = itertools.count(1)

MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="session")
def fortress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("fortress"), secure=True, authorizer_level="debug") as broker:
        yield broker


@pytest.fixture(scope="session")
def security(fortress: EmbeddedBroker) -> BrokerSecurity:
    assert fortress.security is not None
    return fortress.security


def installation(fortress: EmbeddedBroker, folder: Path) -> MakeSettings:
    """make(user, **changes): settings of one new installation on that broker, as that user of the cluster."""
    name = f"s{os.getpid()}-{next(_serial)}"
    security = fortress.security
    assert security is not None

    def make(user: str, **changes: Any) -> Settings:
        defaults: dict[str, Any] = {
            "broker": fortress.address,
            "data_dir": folder / "truelift",
            "app_id": name,
            "topic_prefix": f"{name}.",
            "partitions": 2,
        }
        return Settings(**(defaults | security.client_settings(user) | changes))

    return make


@pytest.fixture
def settings_of(fortress: EmbeddedBroker, tmp_path: Path) -> MakeSettings:
    """Of an installation of the test's own."""
    return installation(fortress, tmp_path)


@pytest.fixture
def admin(settings_of: MakeSettings) -> Settings:
    return settings_of(ADMIN)
