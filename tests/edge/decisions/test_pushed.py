"""GET /v1/decisions/stream: a user's decisions for whoever shows that user's token, and for nobody else."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.edge.decisions.site import Site, question
from tests.edge.process import PUBLIC_KEY, SERVER_KEY
from tests.worker.policies import LATER, NUDGE

pytestmark = pytest.mark.kafka


async def token_of(client: httpx.AsyncClient, user: str, **more: Any) -> str:
    answer = await client.post("/v1/user_tokens", json={"user_id": user} | more, auth=(SERVER_KEY, ""))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


class Stream:
    """What came, event by event."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self, wanted: str) -> dict[str, Any]:
        async for line in self._lines:
            if line == f"event: {wanted}":
                return dict(json.loads((await anext(self._lines)).removeprefix("data: ")))
        raise AssertionError("the stream ended")

    async def rest(self) -> list[str]:
        return [line async for line in self._lines if line]


@contextlib.asynccontextmanager
async def listening(client: httpx.AsyncClient, token: str) -> AsyncIterator[Stream]:
    async with client.stream("GET", "/v1/decisions/stream", params={"token": token}) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = Stream(answer.aiter_lines())
        assert await stream.next("ready") == {}
        yield stream


async def test_a_user_hears_its_own_decisions_and_a_delayed_one_when_it_is_due(site: Site, client: httpx.AsyncClient) -> None:
    # Users of the layer's second half wait a second for their tip; which they are is the hash's to say.
    for number in range(40):
        user = f"listener-{number}"
        first = (await client.post("/v1/decide", json=question(event_name="feature_used", user_id=user))).json()
        if any(decision["policy"] == LATER and decision["reason"] == "delayed" for decision in first["decisions"]):
            break
    else:
        raise AssertionError("nobody has to wait")
    async with listening(client, await token_of(client, user)) as stream:
        await client.post("/v1/decide", json=question(user_id="somebody-else"))
        own = (await client.post("/v1/decide", json=question(user_id=user))).json()
        heard: list[dict[str, Any]] = []
        while {"decided", "fired"} - {event["status"] for event in heard}:
            heard.append(await stream.next("decisions"))
    by_status = {event["status"]: event for event in heard}
    assert by_status["decided"]["event_id"] == own["event_id"]
    plain = [{k: v for k, v in decision.items() if k != "exposure_token"} for decision in by_status["decided"]["decisions"]]
    assert plain == [{k: v for k, v in decision.items() if k != "exposure_token"} for decision in own["decisions"]]
    fired = by_status["fired"]["decisions"][0]
    assert (fired["policy"], fired["served"]) == (LATER, "variant")
    pushed = await site.found(
        "events.decision_delivery",
        lambda record: (
            record.value["properties"]["pushed"] and record.value["properties"]["decision_id"] == fired["decision_id"]
        ),
        1,
    )
    assert (pushed[0].key, pushed[0].value["user_id"]) == (user, user)
    await asyncio.to_thread(site.edge.wait_for, lambda status: status["streams"] == 0)


async def test_a_token_that_is_none_or_has_ended_opens_nothing(site: Site, client: httpx.AsyncClient) -> None:
    true = await token_of(client, "guarded", seconds=60)
    decided = question(user_id="guarded")
    tokens = [d["exposure_token"] for d in (await client.post("/v1/decide", json=decided)).json()["decisions"]]
    wrong = ["", "x", true[:-1], true.replace("tlu1", "tlx1"), PUBLIC_KEY, SERVER_KEY, *filter(None, tokens)]
    for token in wrong:
        answer = await client.get("/v1/decisions/stream", params={"token": token})
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_token"), token
    async with listening(client, true):  # the control
        pass
    # One that ends while it is open: the stream ends with it, and nothing is opened by it again.
    short = await token_of(client, "guarded", seconds=2)
    async with listening(client, short) as stream:
        assert not [line for line in await stream.rest() if line.startswith("event")]
    assert (await client.get("/v1/decisions/stream", params={"token": short})).status_code == 401


async def test_a_users_token_is_given_to_servers_alone(client: httpx.AsyncClient) -> None:
    for body, key, status in (
        ({"user_id": "u-1"}, PUBLIC_KEY, 403),
        ({"user_id": "u-1"}, "tls_other", 401),
        ({}, SERVER_KEY, 400),
        ({"user_id": "a\x1fb"}, SERVER_KEY, 400),
        ({"user_id": "u-1", "seconds": 86_401}, SERVER_KEY, 400),
        ({"anonymous_id": "a-1"}, SERVER_KEY, 200),
    ):
        assert (await client.post("/v1/user_tokens", json=body, auth=(key, ""))).status_code == status, body


async def test_an_edge_that_stops_ends_its_streams_and_stops_at_once(site: Site, client: httpx.AsyncClient) -> None:
    token = await token_of(client, "last")
    async with httpx.AsyncClient(base_url=site.other.url, timeout=30) as other, listening(other, token) as stream:
        assert NUDGE in str(await asyncio.to_thread(site.ask, site.other, user_id="last"))
        ending = asyncio.create_task(site.other.stop())
        assert "event: decisions" in await stream.rest()
        assert await asyncio.wait_for(ending, 10) == 0
    await asyncio.to_thread(site.other.start)
    await asyncio.to_thread(site.wait_until_serving)
