"""OpenFeature's own clients, unmodified, against a real edge and worker: what they are told is what the journal says."""

import json
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason

from app.chaos.house import House
from app.contract.topics import FLAG_EVALUATION, JOURNAL
from app.governance import drafts
from tests.edge.playground import RARE_KEY, Playground
from tests.edge.process import PUBLIC_KEY, SERVER_KEY, Stored

pytestmark = pytest.mark.kafka
needs_node = pytest.mark.skipif(shutil.which("node") is None or shutil.which("npm") is None, reason="Node.js is not installed")

HERE = Path(__file__).parent
DRIVE_SECONDS = 60
VALUES: dict[str, dict[str, Any]] = {
    "checkout_copy": {"A": "Buy", "B": "Get it"},
    "page_size": {"A": 20, "B": 50},
    "discount": {"A": 0.05, "B": 0.1},
    "new_search": {"A": False, "B": True},
    "layout": {"A": {"columns": 2, "dense": True}, "B": {"columns": 3, "dense": False}},
}
TYPES = {"checkout_copy": "string", "page_size": "number", "discount": "number", "new_search": "boolean", "layout": "object"}


def someone() -> str:
    return f"u-{uuid.uuid4().hex}"


def client_of(playground: Playground, key: str = SERVER_KEY) -> OpenFeatureClient:
    domain = uuid.uuid4().hex
    headers = {"Authorization": f"Bearer {key}"}
    api.set_provider(OFREPProvider(playground.edge.url, headers_factory=lambda: headers), domain)
    return api.get_client(domain)


async def journal_of(playground: Playground, user: str, records: int) -> list[dict[str, Any]]:
    """The journal of the user's evaluations, once it has so many; what was served of them is beside it."""

    def evaluations(journal: list[Stored]) -> list[dict[str, Any]]:
        mine = [record.value for record in journal if record.key == user and record.value["status"] != "delivered"]
        assert all(body["input"]["topic"].endswith(FLAG_EVALUATION) for body in mine)
        return mine

    return evaluations(await playground.found(JOURNAL, lambda journal: len(evaluations(journal)) >= records))


def variants_in(journal: list[dict[str, Any]]) -> dict[str, str]:
    return {
        decision["policy"]: decision["variant"] for body in journal for decision in body["decisions"] if decision["assigned"]
    }


async def test_the_python_client_is_told_what_the_journal_says_in_every_type(playground: Playground) -> None:
    client, user = client_of(playground), someone()
    context = EvaluationContext(user)
    asks = {
        "checkout_copy": lambda: client.get_string_details("checkout_copy", "default", context),
        "page_size": lambda: client.get_integer_details("page_size", -1, context),
        "discount": lambda: client.get_float_details("discount", -1.0, context),
        "new_search": lambda: client.get_boolean_details("new_search", False, context),
        "layout": lambda: client.get_object_details("layout", {}, context),
    }
    told: dict[str, FlagEvaluationDetails[Any]] = {flag: ask() for flag, ask in asks.items()}
    journal = await journal_of(playground, user, len(asks))
    variants = variants_in(journal)
    assert {flag: details.error_code for flag, details in told.items()} == dict.fromkeys(asks)
    assert {flag: details.variant for flag, details in told.items()} == variants
    assert {flag: details.value for flag, details in told.items()} == {flag: VALUES[flag][variants[flag]] for flag in asks}
    assert {details.reason for details in told.values()} == {Reason.SPLIT}
    # One flag asked for is one flag decided: nobody is assigned to what was not evaluated.
    assert [[decision["policy"] for decision in body["decisions"]] for body in journal] == [[flag] for flag in asks]


async def test_a_flag_without_a_match_has_the_fallback_and_its_reason(playground: Playground) -> None:
    client, user = client_of(playground), someone()
    free = client.get_string_details("pro_only", "default", EvaluationContext(user, {"plan": "free"}))
    pro = client.get_string_details("pro_only", "default", EvaluationContext(user, {"plan": "pro"}))
    assert (free.value, free.reason, free.variant) == ("default", Reason.STATIC, "none")
    assert (pro.reason, pro.variant in VALUES["page_size"]) == (Reason.SPLIT, True)


def test_the_python_client_hears_every_failure_as_openfeature_words_it(playground: Playground) -> None:
    client, known, nobody = client_of(playground), EvaluationContext(someone()), EvaluationContext(None, {"plan": "pro"})
    failures = {
        ErrorCode.FLAG_NOT_FOUND: client.get_boolean_details("no_such_flag", True, known),
        ErrorCode.TARGETING_KEY_MISSING: client.get_boolean_details("new_search", True, nobody),
        ErrorCode.INVALID_CONTEXT: client.get_boolean_details("new_search", True, EvaluationContext("a\x1fb")),
        ErrorCode.TYPE_MISMATCH: client.get_boolean_details("checkout_copy", True, known),
        ErrorCode.GENERAL: client_of(playground, "tlp_nobody").get_boolean_details("new_search", True, known),
    }
    assert {wanted: details.error_code for wanted, details in failures.items()} == {code: code for code in failures}
    assert all(details.value is True and details.error_message for details in failures.values())


def test_the_python_client_pauses_when_its_key_has_asked_too_much(playground: Playground) -> None:
    client, context = client_of(playground, RARE_KEY), EvaluationContext(someone())
    told = [client.get_boolean_details("new_search", True, context) for _ in range(5)]
    limited = [details.error_message for details in told if details.error_code]
    assert limited
    assert "Rate limited" in str(limited[0])
    assert "paused" in str(limited[-1])


async def test_a_rollback_flag_is_on_until_its_policy_is_killed(playground: Playground) -> None:
    client, user = client_of(playground, PUBLIC_KEY), someone()
    context = EvaluationContext(user)
    before = client.get_boolean_details("ff_doomed", False, context)
    assert (before.value, before.variant, before.reason, before.error_code) == (True, "on", Reason.STATIC, None)
    async with House(playground.settings) as house:
        killed = await house.write(drafts.kill("doomed"))
    playground.edge.wait_for(lambda status: status["catalogue"]["offset"] >= killed.offset)
    after = client.get_boolean_details("ff_doomed", True, context)
    assert (after.value, after.variant, after.reason) == (False, "off", Reason.DISABLED)
    stopped = client.get_string_details("doomed", "default", context)
    assert (stopped.value, stopped.reason) == ("default", Reason.DISABLED)
    journal = await journal_of(playground, user, 3)
    assert [body["status"] for body in journal] == ["no_match", "no_match", "decided"]
    assert [decision["reason"] for decision in journal[2]["decisions"]] == ["killed"]


@needs_node
async def test_the_server_provider_of_javascript(playground: Playground, sdks: Path) -> None:
    user = someone()
    asked = [f"{flag}:{kind}" for flag, kind in TYPES.items()] + ["ff_layout:boolean", "no_such_flag:boolean"]
    told = drive(sdks, playground, "server", user, *asked)
    variants = variants_in(await journal_of(playground, user, len(TYPES) + 1))
    assert {flag: told[flag]["variant"] for flag in TYPES} == variants
    assert {flag: told[flag]["value"] for flag in TYPES} == {flag: VALUES[flag][variants[flag]] for flag in TYPES}
    assert (told["ff_layout"]["value"], told["ff_layout"]["reason"]) == (True, "STATIC")
    assert told["no_such_flag"]["errorCode"] == "FLAG_NOT_FOUND"
    assert drive(sdks, playground, "server", "", "new_search:boolean")["new_search"]["errorCode"] == "TARGETING_KEY_MISSING"


@needs_node
async def test_the_web_provider_of_javascript_takes_all_flags_at_once_and_hears_that_nothing_has_changed(
    playground: Playground, sdks: Path
) -> None:
    user = someone()
    told = drive(sdks, playground, "web", user, *(f"{flag}:{kind}" for flag, kind in TYPES.items()), "ff_layout:boolean")
    assert told["answers"][:3] == [200, 304, 304]
    journal = await journal_of(playground, user, 3)
    variants = variants_in(journal)
    found = told["found"]
    assert {flag: found[flag]["variant"] for flag in TYPES} == {flag: variants[flag] for flag in TYPES}
    assert {flag: found[flag]["value"] for flag in TYPES} == {flag: VALUES[flag][variants[flag]] for flag in TYPES}
    assert found["ff_layout"]["value"] is True
    # An evaluation is a signal, also one that found nothing new.
    assert all(len(body["decisions"]) == len(journal[0]["decisions"]) for body in journal)
    refused = drive(sdks, playground, "web", "", "new_search:boolean")
    assert refused["answers"] == [400]
    assert refused["error"]["message"] == "Failed OFREP bulk evaluation request, status: 400"


def drive(sdks: Path, playground: Playground, kind: str, user: str, *flags: str) -> dict[str, Any]:
    command = ["node", str(HERE / "drive.cjs"), kind, playground.edge.url, PUBLIC_KEY, user, *flags]
    done = subprocess.run(command, cwd=sdks, capture_output=True, text=True, timeout=DRIVE_SECONDS)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
