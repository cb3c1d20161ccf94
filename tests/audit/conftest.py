import time
from collections.abc import Awaitable, Callable

import pytest

from app.governance import log
from app.settings import Settings
from tests.audit.world import AuditedWorld
from tests.replay.world import PARTITIONS, World, publish

Publish = Callable[[World], Awaitable[Settings]]


def an_hour_ago() -> int:
    """So that no time in a history is in the future."""
    return (int(time.time()) - 3600) * 1000


@pytest.fixture(scope="session")
def history() -> AuditedWorld:
    """Made once; tests change copies."""
    made = AuditedWorld(an_hour_ago())
    made.run()
    return made


@pytest.fixture
def world(history: AuditedWorld) -> AuditedWorld:
    copied = history.copy()
    assert isinstance(copied, AuditedWorld)
    return copied


@pytest.fixture
def published(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Puts a world on the broker, in topics of its own; gives the settings to read it with."""
    monkeypatch.setattr(log, "append_us_of", lambda message: message.timestamp * 1_000)

    async def put(world: World) -> Settings:
        settings = make_settings(partitions=PARTITIONS, root_public_key=world.root)
        await publish(world, settings)
        return settings

    return put
