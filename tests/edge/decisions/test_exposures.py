"""Acknowledgements: with a public key only for what was decided for that unit, and shown; the proof is the decision's token."""

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.contract.times import format_us
from app.contract.topics import DEADLETTER, EXPOSURES
from app.edge.tokens import EXPOSURE, USER, TokenKeys
from tests.edge.decisions.site import Site, of_policy
from tests.edge.process import SERVER_KEY
from tests.worker.policies import NUDGE

pytestmark = pytest.mark.kafka


def acknowledgement(token: object, **more: Any) -> dict[str, Any]:
    body = {
        "event_name": "experiment_exposure", "event_id": str(uuid.uuid4()), "ts": format_us(time.time_ns() // 1_000),
        "user_id": "whoever", "exposure_token": token, "properties": {"surface": "onboarding.nudge"},
    } | more  # fmt: skip
    return {name: value for name, value in body.items() if value is not None}


async def shown_to(site: Site, user: str) -> dict[str, Any]:
    """The nudge's decision for the first user of that name who is shown a variant."""
    for number in range(50):
        answer = await asyncio.to_thread(site.ask, site.edge, user_id=f"{user}-{number}")
        decision = of_policy(answer, NUDGE)
        if decision["served"] == "variant":
            return decision | {"unit": f"{user}-{number}"}
    raise AssertionError("nobody was shown anything")


async def test_a_public_key_acknowledges_with_the_token_and_the_exposure_is_the_decisions(
    site: Site, client: httpx.AsyncClient
) -> None:
    decision = await shown_to(site, "exposed")
    sent = acknowledgement(decision["exposure_token"])
    assert (await client.post("/v1/events", json=sent)).json() == {"accepted": 1, "rejected": []}
    (found,) = await site.found(EXPOSURES, lambda record: record.key == decision["unit"], 1)
    assert found.value["decision_id"] == decision["decision_id"]
    assert found.value["experiment"] == {
        "key": NUDGE, "variant": decision["variant"], "assignment_id": decision["assignment_id"],
        "rule_version": decision["rule_version"],
    }  # fmt: skip
    assert (found.value["user_id"], found.value["exposed_by"]) == (decision["unit"], "render")
    assert "exposure_token" not in found.value
    journal = await site.journal(sent["event_id"])
    assert (journal["status"], journal["unit"]) == ("exposed", decision["unit"])


async def test_what_no_edge_signed_for_this_decision_is_refused_and_the_true_token_is_still_good(
    site: Site, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    decision = await shown_to(site, "forged")
    true = decision["exposure_token"]
    head, _, mac = true.rpartition(".")
    kind, key_id, payload = head.split(".")
    strangers = TokenKeys(tmp_path / "strangers")
    strangers.open()
    names = ("policy", "variant", "rule_version", "assignment_id", "decision_id")
    stranger = strangers.exposure(decision["unit"], *(decision[name] for name in names))
    wrong = {
        "of another key": stranger,
        "of another unit": f"{kind}.{key_id}.{payload[:-4]}AAAA.{mac}",
        "of another kind": f"{USER}.{key_id}.{payload}.{mac}",
        "cut short": true[:-1],
        "longer": true + "=",
        "of no key": f"{kind}.99.{payload}.{mac}",
        "not ASCII": f"{kind}.{key_id}.{payload}.é{mac[1:]}",
        "no text": 5,
        "empty": "",
    }
    for name, token in wrong.items():
        answer = (await client.post("/v1/events", json=acknowledgement(token))).json()
        assert [rejected["code"] for rejected in answer["rejected"]] == ["invalid_token"], name
    other = {"key": NUDGE, "variant": "Z", "assignment_id": decision["assignment_id"], "rule_version": decision["rule_version"]}
    answer = (await client.post("/v1/events", json=acknowledgement(true, experiment=other))).json()
    assert answer["rejected"][0]["code"] == "token_mismatch"
    answer = (await client.post("/v1/events", json=acknowledgement(None, experiment=other | {"variant": "A"}))).json()
    assert answer["rejected"][0]["code"] == "not_allowed"
    # The control: the same request with the token as it was made is taken, so it was the token that was refused.
    assert (await client.post("/v1/events", json=acknowledgement(true))).json()["accepted"] == 1
    await site.found(EXPOSURES, lambda record: record.key == decision["unit"], 1)
    await site.found(DEADLETTER, lambda record: record.value["reason"] == "invalid_token", len(wrong))


async def test_a_server_key_acknowledges_without_a_token_and_not_with_a_wrong_one(site: Site) -> None:
    decision = await shown_to(site, "server")
    said = {name: decision[name] for name in ("variant", "assignment_id", "rule_version")} | {"key": NUDGE}
    async with httpx.AsyncClient(base_url=site.edge.url, auth=(SERVER_KEY, "")) as client:
        body = acknowledgement(None, experiment=said, user_id=decision["unit"])
        assert (await client.post("/v1/events", json=body)).json()["accepted"] == 1
        body = acknowledgement("tlx1.1.x.y", experiment=said, user_id=decision["unit"])
        assert (await client.post("/v1/events", json=body)).json()["rejected"][0]["code"] == "invalid_token"


def test_two_keys_are_valid_and_the_third_ends_the_first(tmp_path: Path) -> None:
    one, other = TokenKeys(tmp_path), TokenKeys(tmp_path)
    one.open()
    other.open()
    what = ("u-1", "nudge", "B", 3, "assignment", "decision")
    first = one.exposure(*what)
    assert one.rotate() == ("2", [])
    second = one.exposure(*what)
    assert first != second
    assert [one.exposable(token) for token in (first, second)] == [(*what[:3], "3", *what[4:])] * 2
    other._looked_at = float("-inf")  # a second later: another edge learns of the key by the first token that it signed
    assert other.exposable(second) is not None
    assert one.rotate() == ("3", ["1"])
    assert one.exposable(first) is None
    assert one.exposable(second) is not None
    assert sorted(file.name for file in tmp_path.iterdir()) == ["2.key", "3.key"]
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_users_token_ends_and_is_no_exposure_token(tmp_path: Path) -> None:
    keys = TokenKeys(tmp_path)
    keys.open()
    token = keys.user("u-1", 60)
    found = keys.user_of(token)
    assert found is not None
    assert found[0] == "u-1"
    assert keys.exposable(token) is None
    assert keys.exposable(token.replace(USER, EXPOSURE)) is None
    assert keys.user_of(keys.user("u-1", 0)) is None
