import time
from collections.abc import Awaitable, Callable

import pytest

from app.governance import log
from app.governance.keys import SigningKey
from app.settings import Settings
from tests.replay.world import PARTITIONS, World, publish

Publish = Callable[[World], Awaitable[Settings]]


@pytest.fixture(scope="session")
def history() -> World:
    """Made once; tests change copies. It lies an hour back, so that no time in it is in the future."""
    return World((int(time.time()) - 3600) * 1000).run()


@pytest.fixture
def world(history: World) -> World:
    return history.copy()


@pytest.fixture
def published(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Puts a world on the broker; gives the settings to read it with."""
    # The times of a simulation are its producer's; of governance the fold takes none but the broker's. Other processes
    # read a world that is `governed_now`.
    monkeypatch.setattr(log, "append_us_of", lambda message: message.timestamp * 1_000)

    async def put(world: World) -> Settings:
        settings = make_settings(partitions=PARTITIONS, root_public_key=world.root)
        await publish(world, settings)
        return settings

    return put


@pytest.fixture
def operator(history: World) -> SigningKey:
    """May sign for checkpoints."""
    return SigningKey("otto", history.ledger.private["otto"])
