"""A counter run for each test."""

from collections.abc import AsyncIterator

import pytest

from app.settings import Settings
from tests.stream.counting import Run, counter_run


@pytest.fixture
async def counter(settings: Settings) -> AsyncIterator[Run]:
    async with counter_run(settings.bootstrap(), settings.app_id, settings.data_dir) as run:
        yield run
