"""What visitors see is what the exposure log says, in every arm alike: real Chromium, edge, worker and broker."""

from collections import Counter

import pytest

from app.edge.sample.site import SLOT as POINT
from tests.edge.browser.visitor import ARMS, CLIENT, SERVER, Visits, arm_of, someone

pytestmark = pytest.mark.kafka

VISITORS = 6  # of each arm


@pytest.mark.parametrize("path", [CLIENT, SERVER])
async def test_the_variant_that_is_seen_is_the_one_in_the_exposure_log_once_for_each_visitor_of_both_arms(
    visits: Visits, path: str
) -> None:
    people = [someone(arm) for arm in ARMS * VISITORS]
    seen = {}
    for person in people:
        visits.come(person)
        visits.open(path)
        seen[person] = visits.variant
        visits.settled()
    exposures = await visits.exposures(*people)
    assert seen == {person: arm_of(person) for person in people}
    assert {person: [found["experiment"]["variant"] for found in exposures[person]] for person in people} == {
        person: [variant] for person, variant in seen.items()
    }
    assigned = Counter([(await visits.journal(person))[0]["decisions"][0]["variant"] for person in people])
    exposed = Counter(found["experiment"]["variant"] for person in people for found in exposures[person])
    assert exposed == assigned == {"A": VISITORS, "B": VISITORS}
    for found in (exposures[person][0] for person in people):
        assert found["exposed_by"] == "render"
        assert found["surface"] == POINT
        assert 0 < found["latency"]["decision_to_render_ms"] < 10_000
        assert found["governance"] == {"owner": "growth", "rollback_flag": "ff_onboarding_nudge_v1"}
        assert "exposure_token" not in found
