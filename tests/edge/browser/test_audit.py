"""The audit of what real browsers were shown: a drill under visits, people who are held out, then all ten points pass."""

import pytest

from app.audit.audit import audit
from app.checker.check import check
from app.contract.topics import JOURNAL
from app.governance import drafts
from app.governance.keys import load_key
from app.governance.writer import GovernanceWriter
from tests.edge.browser.visitor import ARMS, Visits, someone
from tests.edge.playground import Playground, shown_nudge

pytestmark = pytest.mark.kafka

KEY = str(shown_nudge()["key"])
OPERATOR = "ann"
# The kill is there before the first of them, its decision perhaps not yet.
MOST_PAGES = 20


async def test_with_a_browser_all_ten_points_pass(visits: Visits, playground: Playground) -> None:
    people = [someone(arm) for arm in (*ARMS * 2, None)]
    for person in people:
        visits.come(person)
        visits.open()
        visits.settled()
        visits.open()  # comes back
        visits.settled()
    exposed = await visits.exposures(*people)
    assert [len(exposed[person]) for person in people] == [1, 1, 1, 1, 0]
    async with GovernanceWriter(playground.settings, load_key(playground.settings, OPERATOR)) as writer:
        await writer.append(drafts.drill(KEY, "begin"), reason="drill")
        await writer.append(drafts.kill(KEY, drill=True), reason="drill")
        await _until_obeyed(visits, playground)
        await writer.append(drafts.resume(KEY), reason="drill")
        await writer.append(drafts.drill(KEY, "end"), reason="drill")
    report = await audit(playground.settings, KEY)
    said = {point.number: (point.verdict, point.why, point.evidence) for point in report.points}
    assert {number for number, (verdict, *_) in said.items() if verdict != "PASS"} == set(), said
    assert (await check(playground.settings, live=True)).clean
    looks = {(exposed.variant, exposed.rendered_digest) for exposed in report.case.facts.exposures}
    assert len(looks) == len({variant for variant, _ in looks}) == len({digest for _, digest in looks}) == len(ARMS)


async def _until_obeyed(visits: Visits, playground: Playground) -> None:
    """Pages are opened until one of them was decided by the kill."""
    for _ in range(MOST_PAGES):
        visits.open()
        visits.settled()
        journal = await playground.found(JOURNAL, lambda _: True)
        if any(decision["reason"] == "killed" for record in journal for decision in record.value["decisions"]):
            return
    raise AssertionError(f"{MOST_PAGES} pages, and none was decided by the kill")
