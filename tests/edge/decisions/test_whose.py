"""A public key that asks for user tokens gives a user_id's decisions to that user alone, by every route."""

from typing import Any

import httpx
import pytest

from app.contract.topics import DECISION_DELIVERY, JOURNAL
from tests.edge.decisions.site import Site, question
from tests.edge.decisions.test_pushed import token_of
from tests.edge.process import CAREFUL_KEY, PUBLIC_KEY, SERVER_KEY, stored

pytestmark = pytest.mark.kafka

FLAGS = "/ofrep/v1/evaluate/flags"


async def decided(client: httpx.AsyncClient, key: str, token: object = None, **event: Any) -> httpx.Response:
    return await client.post("/v1/decide", json=question(**event) | {"user_token": token}, auth=(key, ""))


async def test_a_users_decisions_are_given_for_that_users_token_only(site: Site, client: httpx.AsyncClient) -> None:
    own, other = await token_of(client, "whose"), await token_of(client, "who-else")
    assert (await decided(client, CAREFUL_KEY, own, user_id="whose")).status_code == 200
    for token, said in ((None, "none was sent"), (other, "is another's"), (own[:-2], "is another's"), (PUBLIC_KEY, "not ours")):
        asked = question(user_id="whose")
        answer = await client.post("/v1/decide", json=asked | {"user_token": token}, auth=(CAREFUL_KEY, ""))
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), token
        assert said in answer.json()["message"]
        assert "POST /v1/user_tokens" in answer.json()["message"]
        for topic in (JOURNAL, DECISION_DELIVERY):
            kept = [record.value for record in await stored(site.edge.settings, topic)]
            assert asked["event"]["event_id"] not in str(kept), "what is refused was neither decided nor served"


async def test_who_needs_no_token_is_asked_for_none(client: httpx.AsyncClient) -> None:
    """An anonymous id is its browser's own secret, a server key knows its users, and the other key asks nobody."""
    assert (await decided(client, CAREFUL_KEY, user_id=None, anonymous_id="a-whose")).status_code == 200
    assert (await decided(client, SERVER_KEY, user_id="whose")).status_code == 200
    assert (await decided(client, PUBLIC_KEY, user_id="whose")).status_code == 200


async def test_flags_ask_for_the_same_token_as_a_header(client: httpx.AsyncClient) -> None:
    headers = {"x-api-key": CAREFUL_KEY}
    context = {"context": {"targetingKey": "whose"}}
    async with httpx.AsyncClient(base_url=client.base_url, timeout=30) as plain:
        refused = await plain.post(FLAGS, json=context, headers=headers)
        assert refused.status_code == 403
        assert "none was sent" in refused.json()["errorDetails"]
        own = headers | {"x-user-token": await token_of(client, "whose")}
        assert (await plain.post(FLAGS, json=context, headers=own)).status_code == 200
        anonymous = {"context": {"targetingKey": "anon:a-whose"}}
        assert (await plain.post(FLAGS, json=anonymous, headers=headers)).status_code == 200
