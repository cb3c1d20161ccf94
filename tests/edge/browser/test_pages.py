"""Pages that a server draws, pages that are prepared in advance, pages that are gone at once."""

import httpx
import pytest

from app.contract.topics import event_topic
from tests.edge.browser.scenes import AWHILE
from tests.edge.browser.site import COPIED
from tests.edge.browser.visitor import ARMS, CLIENT, SERVER, SLOT, Visits, someone
from tests.edge.playground import COPY

pytestmark = pytest.mark.kafka

PAGE_VIEW = event_topic("page_view")
PREPARE = (
    "const rules = document.createElement('script'); rules.type = 'speculationrules';"
    "rules.textContent = JSON.stringify({prerender: [{urls: [arguments[0]], eagerness: 'immediate'}]});"
    "document.head.append(rules);"
)


def fetched(visits: Visits, person: str, path: str, **headers: str) -> httpx.Response:
    return httpx.get(visits.origin + path, headers={"cookie": f"truelift_id={person}"} | headers)


def test_the_first_html_has_the_variant_and_no_cache_may_keep_it(visits: Visits) -> None:
    for arm in ARMS:
        page = fetched(visits, someone(arm), SERVER)
        assert (COPY in page.text.partition("data-truelift-slot")[2].partition("</div>")[0]) == (arm == "B")
        assert (page.headers["cache-control"], page.headers["vary"]) == ("private, no-store", "Cookie")
    everybody = {fetched(visits, someone(arm), CLIENT).text for arm in ARMS}
    assert len(everybody) == 1
    assert COPY not in everybody.pop()


async def test_the_hydrated_page_shows_what_the_server_has_drawn_and_asks_nobody_again(visits: Visits) -> None:
    for arm in ARMS:
        person = someone(arm)
        visits.come(person)
        visits.style("")
        visits.open(SERVER)
        assert visits.variant == arm
        # The nodes are the server's: nothing was drawn a second time.
        assert visits.browser.run(f"return {SLOT}.querySelectorAll('.nudge').length") == (1 if arm == "B" else 0)
        visits.settled()
        assert len(await visits.acknowledgements(person, PAGE_VIEW)) == 1
        assert len(await visits.acknowledgements(person)) == 1


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_page_that_a_cache_has_swapped_is_not_believed(visits: Visits, guarded: bool) -> None:
    if not guarded:
        visits.site.broken([("state.anonymous_id === anonymousId() && ", "")])
    seen = {}
    for arm, other in (ARMS, ARMS[::-1]):
        visits.site.copied = fetched(visits, someone(other), SERVER).text
        visits.come(someone(arm))
        visits.open(COPIED)
        seen[arm] = visits.variant
    assert (seen == {"A": "A", "B": "B"}) == guarded


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_page_that_is_prepared_in_advance_says_nothing_until_it_is_seen(visits: Visits, guarded: bool) -> None:
    if not guarded:
        visits.site.broken([("const live = document.prerendering", "const live = false")])
    for arm in ARMS:
        person = someone(arm)
        visits.come(person)
        visits.browser.run(PREPARE, visits.origin + CLIENT)
        for _ in range(5):
            visits.browser.run(AWHILE)
        said = len(await visits.acknowledgements(person, PAGE_VIEW)) + len(await visits.acknowledgements(person))
        assert (said == 0) == guarded
        visits.browser.run("location.href = arguments[0]", visits.origin + CLIENT)
        visits.rendered()
        assert visits.browser.run("return performance.getEntriesByType('navigation')[0].activationStart") > 0
        visits.settled()
        assert visits.variant == arm
        assert len(await visits.acknowledgements(person)) == 1


def test_a_server_draws_no_page_in_advance(visits: Visits) -> None:
    for purpose in ("prefetch", "prefetch;prerender"):
        answer = fetched(visits, someone("B"), SERVER, **{"sec-purpose": purpose})
        assert (answer.status_code, answer.headers["cache-control"]) == (503, "private, no-store")


@pytest.mark.parametrize("beacon", [True, False])
async def test_what_is_on_its_way_when_a_page_is_closed_still_arrives(visits: Visits, beacon: bool) -> None:
    """The SDK is made so slow that nothing but its beacon can have said it."""
    slow = ("SOON_MS = 10,", "SOON_MS = 60000,")
    silent = ("navigator.sendBeacon(url", "(() => 0)(url")
    visits.site.broken([slow] if beacon else [slow, silent])
    for arm in ARMS:
        person = someone(arm)
        visits.come(person)
        visits.open()
        visits.browser.frames(10)
        assert await visits.acknowledgements(person) == []
        visits.leave()
        visits.browser.run(AWHILE)
        assert len(await visits.acknowledgements(person)) == (1 if beacon else 0)
