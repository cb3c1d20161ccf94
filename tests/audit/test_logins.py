"""The audit of a history with logins: what goes with a person from device to user is no reroll and breaks no key."""

import time
from collections.abc import Awaitable, Callable

import pytest

from app.audit.audit import audit
from app.settings import Settings
from tests.replay.logins import LoginsWorld
from tests.replay.world import NUDGE, WAIT, World

pytestmark = pytest.mark.kafka


async def test_who_logs_in_keeps_every_point(published: Callable[[World], Awaitable[Settings]]) -> None:
    world = LoginsWorld((int(time.time()) - 3600) * 1000)
    world.run()
    settings = await published(world)
    for policy in (NUDGE, WAIT):
        report = await audit(settings, policy)
        failing = {point.number: (point.why, point.evidence) for point in report.points if point.verdict == "FAIL"}
        # This history has no drill, and its clients do not say when they rendered.
        assert failing.keys() <= {5, 7}, failing
        assert len(report.case.by_unit) > len({unit for unit in report.case.by_unit if not unit.startswith("anon:")}) > 0
