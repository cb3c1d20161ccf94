"""POST /v1/decide: what is served is what is committed, or a fallback at the deadline; and a record of it, always."""

import asyncio
import signal as signals
import struct
import time
import uuid

import httpx
import pytest

from app.contract.replies import HEADER, ReplyTo
from app.contract.topics import REPLIES
from tests.edge.decisions.site import Site, of_policy, question, signal
from tests.edge.process import PUBLIC_KEY, stored
from tests.worker.policies import HERO, NUDGE

pytestmark = pytest.mark.kafka


async def test_what_is_served_in_time_is_what_the_journal_has_and_a_delivery_record_says_so(
    site: Site, client: httpx.AsyncClient
) -> None:
    shown = set()
    for user in ("a", "b", "c", "d", "e", "f"):
        asked = question(user_id=f"served-{user}")
        answer = (await client.post("/v1/decide", json=asked)).json()
        event_id = asked["event"]["event_id"]
        assert (answer["source"], answer["why"], answer["event_id"]) == ("journal", None, event_id)
        journal = await site.journal(event_id)
        common = ("policy", "decision_id", "variant", "assignment_id", "rule_version", "action", "reason", "holdout")
        assert [{name: decision[name] for name in common} for decision in answer["decisions"]] == [
            {name: decision[name] for name in common} for decision in journal["decisions"]
        ]
        delivered = {body["properties"]["policy"]: body["properties"] for body in await site.deliveries(event_id)}
        for decision in answer["decisions"]:
            said = delivered[decision["policy"]]
            assert (said["decision_id"], said["served"], said["why"]) == (decision["decision_id"], decision["served"], None)
            assert said["visible_ts"] <= said["delivered_ts"]
        nudge = of_policy(answer, NUDGE)
        shown.add(nudge["served"])
        assert (nudge["exposure_token"] is not None) == (nudge["served"] == "variant")
        assert of_policy(answer, HERO)["served"] == "none", "a shadow treats nobody"
    assert "variant" in shown


async def test_two_edges_at_once_give_each_caller_its_own_users_decision(site: Site) -> None:
    """Both may listen on one partition: what is for the other one is dropped."""
    count = 40

    async def ask(edge: str, user: str) -> tuple[str, dict[str, object]]:
        asked = question(user_id=user)
        answer = await client.post(f"{edge}/v1/decide", json=asked)
        assert answer.json()["event_id"] == asked["event"]["event_id"]
        return user, of_policy(answer.json(), NUDGE)

    async with httpx.AsyncClient(auth=(PUBLIC_KEY, ""), timeout=30) as client:
        edges = (site.edge.url, site.other.url)
        answers = await asyncio.gather(*(ask(edge, f"pair-{n}") for n in range(count) for edge in edges))
    by_user: dict[str, set[object]] = {}
    for user, decision in answers:
        by_user.setdefault(user, set()).add((decision["variant"], decision["assignment_id"]))
    assert len(by_user) == count
    assert all(len(found) == 1 for found in by_user.values()), "one user, one variant, whichever edge is asked"


async def test_a_missed_deadline_is_a_fallback_with_its_record_and_the_journal_has_the_decision_later(
    site: Site, client: httpx.AsyncClient
) -> None:
    asked = question(deadline_ms=300, user_id="stopped")
    site.worker.signal(signals.SIGSTOP)
    try:
        began = time.monotonic()
        answer = (await client.post("/v1/decide", json=asked)).json()
        took = time.monotonic() - began
    finally:
        site.worker.signal(signals.SIGCONT)
    event_id = asked["event"]["event_id"]
    assert (answer["source"], answer["why"]) == ("fallback", "deadline")
    assert 0.29 < took < 3, "at the deadline, neither long before nor long after"
    nudge = of_policy(answer, NUDGE)
    assert (nudge["served"], nudge["action"]["component"], nudge["exposure_token"]) == ("fallback", "none", None)
    delivered = {body["properties"]["policy"]: body["properties"] for body in await site.deliveries(event_id)}
    assert (delivered[NUDGE]["served"], delivered[NUDGE]["why"], delivered[NUDGE]["decision_id"]) == (
        "fallback",
        "deadline",
        None,
    )
    journal = await site.journal(event_id)
    assert {decision["policy"] for decision in journal["decisions"]} == {NUDGE, HERO}


async def test_a_client_that_has_gone_has_its_delivery_record_too(site: Site) -> None:
    asked = question(deadline_ms=2_000, user_id="gone")
    site.worker.signal(signals.SIGSTOP)
    try:
        async with httpx.AsyncClient(auth=(PUBLIC_KEY, ""), timeout=0.5) as impatient:
            with pytest.raises(httpx.ReadTimeout):
                await impatient.post(f"{site.edge.url}/v1/decide", json=asked)
    finally:
        site.worker.signal(signals.SIGCONT)
    for body in await site.deliveries(asked["event"]["event_id"]):
        assert (body["properties"]["served"], body["properties"]["why"]) == ("none", "client_gone")


async def test_an_edge_that_is_killed_takes_nothing_with_it_and_its_successor_serves(site: Site) -> None:
    asked = question(deadline_ms=5_000, user_id="killed")
    site.worker.signal(signals.SIGSTOP)
    try:
        async with httpx.AsyncClient(auth=(PUBLIC_KEY, ""), timeout=30) as client:
            waiting = asyncio.create_task(client.post(f"{site.other.url}/v1/decide", json=asked))
            await site.found("events.page_view", lambda record: record.value["event_id"] == asked["event"]["event_id"], 1)
            await site.other.kill()
            with pytest.raises(httpx.HTTPError):
                await waiting
    finally:
        site.worker.signal(signals.SIGCONT)
    assert (await site.journal(asked["event"]["event_id"]))["status"] == "decided"
    await asyncio.to_thread(site.other.start)
    await asyncio.to_thread(site.wait_until_serving)


async def test_a_repeated_event_is_not_decided_again_and_its_fallback_says_so(site: Site, client: httpx.AsyncClient) -> None:
    asked = question(user_id="repeated")
    first = (await client.post("/v1/decide", json=asked)).json()
    again = (await client.post("/v1/decide", json=asked)).json()
    assert (first["source"], again["source"], again["why"]) == ("journal", "fallback", "duplicate")


FORGED = {
    "a partition that is not there": struct.pack(">i16s", 2, b"x" * 16),
    "a huge one": struct.pack(">i16s", 2**31 - 1, b"x" * 16),
    "a negative one": struct.pack(">i16s", -1, b"x" * 16),
    "too short": b"\x00",
    "too long": bytes(1_000),
    "text": b"0:not-an-id",
    "nothing": b"",
}


async def test_a_forged_header_harms_nobody_and_nobody_hears_of_it(site: Site, client: httpx.AsyncClient) -> None:
    events = {name: signal(f"forger-{n}") for n, name in enumerate(FORGED)}
    for name, header in FORGED.items():
        await site.append(events[name], [(HEADER, header)])
    # Lawful in shape, yet nobody asked: the copy is made and dropped by every edge.
    unasked = signal("forger-lawful")
    ids = [uuid.uuid4().bytes for _ in range(2)]
    for partition, request_id in enumerate(ids):
        event = unasked | {"event_id": str(uuid.UUID(bytes=request_id))}
        await site.append(event, [ReplyTo(partition, request_id).header()])
    for event in events.values():
        assert (await site.journal(event["event_id"]))["status"] == "decided"
    await site.found(REPLIES, lambda record: record.value["unit"] == "forger-lawful", 2)
    copies = [record.value["unit"] for record in await stored(site.edge.settings, REPLIES)]
    assert not [unit for unit in copies if unit.startswith("forger-") and unit != "forger-lawful"]
    assert site.worker.running
    answer = (await client.post("/v1/decide", json=question(user_id="after-forgery"))).json()
    assert answer["source"] == "journal"
    status = site.edge.status()
    assert status["replies"]["not_asked_for"] >= 1
    assert "foreign" not in status["replies"]
    assert "malformed" not in status["replies"]


async def test_what_is_no_signal_is_refused_with_its_reason(client: httpx.AsyncClient) -> None:
    refused = {
        "unknown_event_type": {"event": signal(event_name="nonsense")},
        "missing_user": {"event": signal() | {"user_id": None}},
        "not_a_signal": {"event": signal(event_name="identify")},
        "malformed": {"event": signal(), "deadline_ms": 0},
    }
    for code, body in refused.items():
        answer = await client.post("/v1/decide", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await client.post("/v1/decide", json=question(), auth=("tlp_other", ""))).status_code == 401


async def test_a_reply_that_is_lost_is_a_fallback_of_what_was_committed(site: Site, client: httpx.AsyncClient) -> None:
    """The worker dies between its commit and the copy; nothing is decided twice when it comes back."""
    asked = question(deadline_ms=3_000, user_id="lost-reply")
    site.worker.plan(crash_at="after_commit", nth=1)
    answer = (await client.post("/v1/decide", json=asked)).json()
    assert (answer["source"], answer["why"]) == ("fallback", "deadline")
    await site.worker.ended(30)
    event_id = asked["event"]["event_id"]
    assert (await site.journal(event_id))["status"] == "decided", "it was committed before the worker died"
    site.worker.start()
    await asyncio.to_thread(site.wait_until_serving)
    await site.journal(event_id)  # still the one record
    served = {body["properties"]["policy"]: body["properties"]["served"] for body in await site.deliveries(event_id)}
    assert served == {NUDGE: "fallback", HERO: "none"}
