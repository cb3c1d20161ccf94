"""Every answer of OFREP has the protocol's shape, the failures too. In process, with the real application's Kafka away."""

from typing import Any

import httpx
import pytest

from app.contract.envelope import Rejection
from app.edge.ofrep.endpoints import etag_of
from app.edge.ofrep.flags import evaluation
from app.edge.refusal import RefusalError
from app.edge.rules import KnownPolicy, Rules
from app.edge.served import Served, ServedDecision
from tests.edge.ofrep.fakes import KEY, edge_with, known, rules_with

CONTEXT = {"context": {"targetingKey": "u-1"}}
ONE, ALL = "/ofrep/v1/evaluate/flags/colour", "/ofrep/v1/evaluate/flags"
COLOUR = known("colour")


async def ask(outcome: Any, path: str = ONE, key: str = KEY, **body: Any) -> httpx.Response:
    """outcome: what the decider returns or raises."""
    app = edge_with(outcome, rules_with(COLOUR))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://edge") as client:
        return await client.post(path, headers={"x-api-key": key}, **(body or {"json": CONTEXT}))


def served(**changes: Any) -> Served:
    fields: dict[str, Any] = {"action": {"kind": "flag", "payload": {"value": "red"}}, "served": "variant", "variant": "A"}
    decision = ServedDecision(
        **{"policy": "colour", "decision_point": "flags.colour", "kind": "experiment", "reason": "assigned"} | fields | changes
    )
    return Served("e-1", "u-1", "journal", None, 100, (decision,))


@pytest.mark.parametrize("path", [ONE, ALL])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"content": b"{"}, "PARSE_ERROR"),
        ({"content": b"\xff"}, "PARSE_ERROR"),
        ({"content": b""}, "PARSE_ERROR"),
        ({"content": b"[" * 2_000}, "PARSE_ERROR"),
        ({"json": []}, "INVALID_CONTEXT"),
        ({"json": {}}, "INVALID_CONTEXT"),
        ({"json": {"context": "u-1"}}, "INVALID_CONTEXT"),
        ({"json": {"context": {"targetingKey": 7}}}, "INVALID_CONTEXT"),
        ({"json": {"context": {}}}, "TARGETING_KEY_MISSING"),
        ({"json": {"context": {"targetingKey": ""}}}, "TARGETING_KEY_MISSING"),
    ],
)
async def test_what_cannot_be_evaluated_is_said_in_the_protocols_codes(path: str, body: dict[str, Any], code: str) -> None:
    answer = await ask(served(), path, **body)
    said = answer.json()
    assert (answer.status_code, said["errorCode"]) == (400, code)
    assert said["errorDetails"]
    assert said.get("key") == ("colour" if path == ONE else None)


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Rejection("reserved_user_id", "the id begins with anon:; send another"), 400, "INVALID_CONTEXT"),
        (RefusalError("rate_limited", "send the rest later", 7), 429, "GENERAL"),
        (RefusalError("not_allowed", "another's decisions"), 403, "GENERAL"),
        (RefusalError("overloaded", "too much waits"), 503, "GENERAL"),
    ],
)
async def test_a_refused_evaluation_keeps_its_status_and_says_when_to_come_back(outcome: Any, status: int, code: str) -> None:
    answer = await ask(outcome)
    assert (answer.status_code, answer.json()["errorCode"], answer.json()["key"]) == (status, code, "colour")
    if status == 429:
        assert answer.headers["retry-after"] == "7"


async def test_an_unknown_key_is_401_and_an_unknown_flag_404() -> None:
    assert (await ask(served(), key="tlp_nobody")).status_code == 401
    for flag in ("no_such", "no/such", "%2e%2e", "x" * 500):
        answer = await ask(served(), f"{ALL}/{flag}")
        assert (answer.status_code, answer.json()["errorCode"]) == (404, "FLAG_NOT_FOUND")
        assert "errorDetails" in answer.json()


async def test_an_error_of_ours_is_500_without_a_word_of_the_event(caplog: pytest.LogCaptureFixture) -> None:
    answer = await ask(RuntimeError("u-1 is secret"))
    assert (answer.status_code, set(answer.json())) == (500, {"errorDetails"})
    assert "secret" not in answer.text
    assert "an evaluation failed" in caplog.text


@pytest.mark.parametrize(
    ("changes", "value", "reason", "variant"),
    [
        ({}, "red", "SPLIT", "A"),
        ({"reason": "sticky"}, "red", "SPLIT", "A"),
        ({"reason": "non_experimental"}, "red", "TARGETING_MATCH", "A"),
        ({"reason": "killed", "served": "none", "action": None, "variant": None}, None, "DISABLED", "none"),
        ({"reason": "holdout", "served": "none", "action": None, "variant": "A"}, None, "SPLIT", "none"),
        ({"reason": "ineligible", "served": "none", "action": None, "variant": None}, None, "STATIC", "none"),
        ({"reason": "late_fallback", "served": "fallback"}, "red", "UNKNOWN", "fallback"),
        ({"action": {"kind": "flag", "payload": {"value": False}}}, False, "SPLIT", "A"),
        ({"action": {"kind": "flag", "payload": {"rows": 2}}}, {"rows": 2}, "SPLIT", "A"),
        ({"action": {"kind": "flag"}}, None, "SPLIT", "A"),
    ],
)
def test_an_evaluation_has_always_a_variant_and_a_value_where_the_decision_has_one(
    changes: dict[str, Any], value: Any, reason: str, variant: str
) -> None:
    said = evaluation("colour", served(**changes), rules_with(COLOUR))
    assert (said.get("value"), said["reason"], said["variant"]) == (value, reason, variant)
    assert ("value" in said) == (value is not None)
    assert all(found is not None for found in said["metadata"].values())


@pytest.mark.parametrize(
    ("policies", "value", "state"),
    [
        ([COLOUR], True, "active"),
        ([COLOUR._replace(halted="killed")], False, "killed"),
        ([COLOUR._replace(halted="paused")], False, "paused"),
        ([COLOUR._replace(mode="shadow")], False, "shadow"),
        ([COLOUR, known("shape")._replace(rollback_flag="ff_colour", halted="killed")], False, "killed"),
    ],
)
def test_a_rollback_flag_is_on_while_every_policy_that_names_it_treats(
    policies: list[KnownPolicy], value: bool, state: str
) -> None:
    rules: Rules = rules_with(*policies)
    said = evaluation("ff_colour", served(), rules)
    assert (said["value"], said["metadata"]["state"]) == (value, state)


async def test_an_etag_changes_with_what_a_client_would_act_on_and_with_nothing_else() -> None:
    first = await ask(served(decision_id="d-1", exposure_token="t-1"), ALL)
    assert first.json()["flags"][0]["metadata"]["exposure_token"] == "t-1"

    def tag(**changes: Any) -> str:
        rules = rules_with(COLOUR)
        return etag_of([evaluation(key, served(**changes), rules) for key in ("colour", "ff_colour")])

    assert first.headers["etag"] == tag(decision_id="d-2", exposure_token="t-2")
    assert first.headers["etag"] not in {tag(variant="B"), tag(rule_version=2), tag(assignment_id="a-2")}


@pytest.mark.parametrize(("sent", "status"), [("{}", 304), ("W/{}", 304), ('"other", {}', 304), ('"other"', 200)])
async def test_what_a_client_holds_already_is_not_sent_again(sent: str, status: int) -> None:
    app = edge_with(served(), rules_with(COLOUR))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://edge") as client:
        etag = (await client.post(ALL, headers={"x-api-key": KEY}, json=CONTEXT)).headers["etag"]
        again = await client.post(ALL, headers={"x-api-key": KEY, "if-none-match": sent.format(etag)}, json=CONTEXT)
    assert (again.status_code, again.headers["etag"]) == (status, etag)
    assert (again.content == b"") == (status == 304)
