"""Whatever happens between decision and sight, both arms are acknowledged by the same rule. Each rule is also tried broken."""

import pytest

from tests.edge.browser.scenes import SCENES
from tests.edge.browser.visitor import ARMS, Visits, someone

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize("name", SCENES)
async def test_both_arms_are_acknowledged_as_often_as_they_were_seen(visits: Visits, name: str) -> None:
    scene = SCENES[name]
    assert await _played(visits, name) == dict.fromkeys(ARMS, scene.acknowledged)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
async def test_without_its_guard_a_scene_goes_wrong(visits: Visits, name: str) -> None:
    scene = SCENES[name]
    visits.site.broken(scene.broken)
    try:
        found = await _played(visits, name)
    except AssertionError:  # the visitor sees it on the page already
        return
    assert found != dict.fromkeys(ARMS, scene.acknowledged)


async def _played(visits: Visits, name: str) -> dict[str, int]:
    """Acknowledgements that reached the log, by arm."""
    found = {}
    for arm in ARMS:
        person = someone(arm)
        visits.come(person)
        options = visits.site.options
        try:
            SCENES[name].play(visits)
        finally:
            visits.close()
            visits.site.options = options
        found[arm] = len(await visits.acknowledgements(person))
    return found
