"""What each protocol hears, and what is in the topics then; on the wire, without an SDK between."""

import asyncio
import gzip
import json
import uuid
from base64 import b64decode, b64encode, urlsafe_b64encode
from typing import Any

import httpx
import pytest

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.contract.ids import event_uuid
from app.contract.topics import topic_specs
from app.governance import drafts
from app.governance.keys import load_key
from app.governance.writer import GovernanceWriter
from app.stream.admin import ensure_topics
from tests.edge.conftest import ORIGIN, MakeEdge
from tests.edge.process import PUBLIC_KEY, SERVER_KEY, SLOW_KEY, EdgeProcess, Stored, catalogue, envelope, install, stored

pytestmark = pytest.mark.kafka

TS = "2026-11-23T10:00:00.123Z"


@pytest.fixture
def client(edge: EdgeProcess) -> Any:
    with httpx.Client(base_url=edge.url, auth=(PUBLIC_KEY, "")) as client:
        yield client


async def of_user(edge: EdgeProcess, user: str, *topics: str) -> list[Stored]:
    return [record for record in await stored(edge.settings, *topics) if record.value.get("user_id") == user]


async def letters(edge: EdgeProcess, word: str) -> list[dict[str, Any]]:
    """Dead letters whose original has the word."""
    found = [record.value for record in await stored(edge.settings, "deadletter")]
    return [letter for letter in found if word.encode() in b64decode(letter["original_base64"])]


async def test_a_native_event_is_in_its_topic_when_its_answer_comes(edge: EdgeProcess, client: httpx.Client) -> None:
    answer = client.post("/v1/events", json=envelope("native-1", "u-native", source="forged", received_ts=TS))
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "rejected": []})
    (record,) = await of_user(edge, "u-native", "events.page_view")
    assert record.key == "u-native"
    assert record.value["event_id"] == event_uuid("edge", "native-1")
    assert (record.value["source"], record.value["source_id"]) == ("edge", "native-1")
    assert record.value["received_ts"] > TS  # the edge's own word, not the sender's


async def test_what_is_no_event_is_named_in_the_answer_and_kept_as_a_dead_letter(
    edge: EdgeProcess, client: httpx.Client
) -> None:
    word = uuid.uuid4().hex
    sent = [
        envelope("ok", "u-mixed"),
        envelope("bad", "u-mixed", ts=f"yesterday {word}"),
        [word],
        envelope("unknown", "u-mixed", event_name="no_such_type", word=word),
    ]
    answer = client.post("/v1/events", json=sent)
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 1
    assert [(found["index"], found["code"]) for found in answer.json()["rejected"]] == [
        (1, "invalid_field"),
        (2, "not_an_object"),
        (3, "unknown_event_type"),
    ]
    kept = await letters(edge, word)
    assert sorted(letter["reason"] for letter in kept) == ["invalid_field", "not_an_object", "unknown_event_type"]
    assert {letter["source"]["topic"] for letter in kept} == {"edge:edge"}
    assert [json.loads(b64decode(letter["original_base64"])) for letter in kept if letter["reason"] == "not_an_object"] == [
        [word]
    ]


@pytest.mark.parametrize(("key", "code"), [(PUBLIC_KEY, "not_allowed"), (SERVER_KEY, None)])
def test_acknowledgements_are_taken_with_a_server_key_only(client: httpx.Client, key: str, code: str | None) -> None:
    experiment = {"key": "p", "variant": "A", "assignment_id": str(uuid.uuid4()), "rule_version": 1}
    event = envelope(str(uuid.uuid4()), event_name="experiment_exposure", experiment=experiment)
    answer = client.post("/v1/events", json=event, auth=(key, ""))
    assert [found["code"] for found in answer.json()["rejected"]] == ([] if code is None else [code])


def test_what_the_edge_itself_writes_is_taken_from_nobody(client: httpx.Client) -> None:
    event = envelope(str(uuid.uuid4()), event_name="decision_delivery")
    answer = client.post("/v1/events", json=event, auth=(SERVER_KEY, ""))
    assert [found["code"] for found in answer.json()["rejected"]] == ["not_allowed"]


SEGMENT_ONE = {"messageId": "m-1", "userId": "u-segment", "timestamp": TS, "properties": {"amount": 3}}
SEGMENT_PATHS = [
    ("/v1/track", {"event": "Exported"}, "events.feature_used"),
    ("/v1/page", {"name": "Home", "context": {"page": {"path": "/home"}, "locale": "de-DE"}}, "events.page_view"),
    ("/v1/screen", {"name": "Main"}, "events.page_view"),
    ("/v1/identify", {"anonymousId": "a-segment", "traits": {"plan": "pro"}}, "events.identify"),
    ("/v1/alias", {"previousId": "a-before"}, "events.identify"),
    ("/t", {"event": "Exported"}, "events.feature_used"),
    ("/v1/t", {"event": "Exported"}, "events.feature_used"),
    ("/p", {"name": "Home"}, "events.page_view"),
    ("/i", {"anonymousId": "a-segment"}, "events.identify"),
    ("/a", {"previousId": "a-before"}, "events.identify"),
]


@pytest.mark.parametrize(("path", "more", "topic"), SEGMENT_PATHS, ids=[path for path, _, _ in SEGMENT_PATHS])
async def test_segment_has_a_path_for_each_kind(
    edge: EdgeProcess, client: httpx.Client, path: str, more: Any, topic: str
) -> None:
    message = {**SEGMENT_ONE, "messageId": f"m-{path}", **more}
    answer = client.post(path, json=message)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    found = [record for record in await of_user(edge, "u-segment", topic) if record.value["source_id"] == f"m-{path}"]
    (record,) = found
    assert record.value["event_id"] == event_uuid("segment", f"m-{path}")
    assert record.value["source"] == "segment"
    assert record.value["ts"] == "2026-11-23T10:00:00.123000Z"
    if topic == "events.identify":
        assert record.key == f"anon:{record.value['anonymous_id']}"
    else:
        assert record.key == "u-segment"


async def test_a_batch_shares_its_context_and_what_no_mapping_takes_is_a_dead_letter(
    edge: EdgeProcess, client: httpx.Client
) -> None:
    word = uuid.uuid4().hex
    batch = [
        {"type": "track", "event": "billing_intent", "messageId": word, "userId": "u-batch", "timestamp": TS},
        {"type": "group", "groupId": "g", "messageId": f"g-{word}", "userId": "u-batch", "timestamp": TS},
    ]
    answer = client.post("/v1/batch", json={"batch": batch, "context": {"locale": "fr-FR"}, "sentAt": TS})
    assert answer.json() == {"success": True}
    (record,) = await of_user(edge, "u-batch", "events.billing_intent")
    assert record.value["context"]["locale"] == "fr-FR"
    (letter,) = await letters(edge, f"g-{word}")
    assert (letter["reason"], letter["source"]["topic"]) == ("unmapped_event", "edge:segment")
    assert "mappings.segment" in letter["message"]


def test_analytics_js_writes_its_key_into_the_body_as_plain_text(edge: EdgeProcess) -> None:
    body = json.dumps({**SEGMENT_ONE, "event": "Clicked", "messageId": "beacon", "writeKey": PUBLIC_KEY})
    headers = {"Content-Type": "text/plain", "Origin": ORIGIN}
    answer = httpx.post(f"{edge.url}/v1/t", content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Encoding": "gzip", "Content-Type": "application/json"},
        {"Content-Type": "application/x-www-form-urlencoded"},  # RudderStack's Node SDK
        {"Content-Type": "application/json"},
    ],
)
def test_gzip_is_unpacked_however_it_is_labelled(client: httpx.Client, headers: dict[str, str]) -> None:
    body = gzip.compress(json.dumps({"batch": [{**SEGMENT_ONE, "type": "page"}]}).encode())
    assert client.post("/v1/batch", content=body, headers=headers).status_code == 200


def test_plain_json_that_is_called_gzip_is_read_too(client: httpx.Client) -> None:
    body = json.dumps({"batch": []})
    assert client.post("/v1/batch", content=body, headers={"Content-Encoding": "gzip"}).status_code == 200


async def test_snowplow_events_come_by_post_with_base64_or_without(edge: EdgeProcess, client: httpx.Client) -> None:
    word = uuid.uuid4().hex
    event = {
        "schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0",
        "data": {"schema": "iglu:com.acme/exported/jsonschema/1-0-0", "data": {"rows": 3}},
    }
    entities = {
        "schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-1",
        "data": [{"schema": "iglu:com.acme/user/jsonschema/1-0-0", "data": {"type": "tester"}}],
    }
    common = {"aid": PUBLIC_KEY, "p": "web", "uid": f"u-{word}", "duid": "d-1", "dtm": "1763892000123", "lang": "en-GB"}
    encoded = {
        name: urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
        for name, value in (("ue_px", event), ("cx", entities))
    }
    data = [
        {**common, "e": "pv", "eid": str(uuid.uuid4()), "url": "https://shop.example/cart?x=1", "page": "Cart", "stm": "1"},
        {**common, "e": "ue", "eid": str(uuid.uuid4()), "ue_pr": json.dumps(event), "co": json.dumps(entities)},
        {**common, "e": "ue", "eid": str(uuid.uuid4()), **encoded},
        {**common, "e": "se", "eid": str(uuid.uuid4()), "se_ca": "video", "se_ac": "play", "se_va": "2.5"},
    ]
    schema = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
    answer = client.post("/com.snowplowanalytics.snowplow/tp2", json={"schema": schema, "data": data}, auth=None)
    assert (answer.status_code, answer.content) == (200, b"ok")
    (view,) = await of_user(edge, f"u-{word}", "events.page_view")
    assert view.value["context"] == {"route": "/cart", "device": "web", "locale": "en-GB"}
    assert view.value["properties"] == {"title": "Cart", "url": "https://shop.example/cart?x=1"}
    assert (view.value["anonymous_id"], view.value["ts"]) == ("d-1", "2025-11-23T10:00:00.123000Z")
    assert PUBLIC_KEY not in json.dumps(view.value)
    first, second, played = sorted(await of_user(edge, f"u-{word}", "events.feature_used"), key=lambda record: record.offset)
    assert first.value["properties"] == second.value["properties"] == {"rows": 3, "name": "exported"}
    assert first.value["context"]["contexts"] == second.value["context"]["contexts"] == {"user": {"type": "tester"}}
    assert played.value["properties"] == {"name": "play", "category": "video", "value": 2.5}


async def test_snowplow_events_come_by_get_and_are_answered_with_a_pixel(edge: EdgeProcess, client: httpx.Client) -> None:
    word = uuid.uuid4().hex
    query = {"e": "pv", "aid": PUBLIC_KEY, "eid": str(uuid.uuid4()), "duid": word, "url": "https://a.example/x", "p": "web"}
    answer = client.get("/i", params=query, auth=None, headers={"User-Agent": "Mozilla/5.0 (iPhone) Mobile"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.content.startswith(b"GIF89a")
    found = [record for record in await stored(edge.settings, "events.page_view") if record.key == f"anon:{word}"]
    assert len(found) == 1


async def test_amplitude_hears_how_many_events_were_taken(edge: EdgeProcess, client: httpx.Client) -> None:
    word = uuid.uuid4().hex
    events = [
        {"event_type": "Exported", "user_id": f"u-{word}", "device_id": "d-1", "time": 1763892000123, "insert_id": f"1-{word}"},
        {"event_type": "$identify", "user_id": f"u-{word}", "device_id": "d-1", "insert_id": f"2-{word}", "session_id": -1},
    ]
    answer = client.post("/2/httpapi", json={"api_key": PUBLIC_KEY, "events": events}, auth=None)
    assert answer.status_code == 200
    assert answer.json()["code"] == 200
    assert answer.json()["events_ingested"] == 2
    (used,) = await of_user(edge, f"u-{word}", "events.feature_used")
    assert used.value["properties"] == {"name": "Exported"}
    (identify,) = await of_user(edge, f"u-{word}", "events.identify")
    assert identify.key == "anon:d-1"
    assert "session_id" not in identify.value


REFUSED: list[tuple[str, str, Any, int, dict[str, Any]]] = [
    ("native, no key", "/v1/events", [], 401, {"code": "unknown_key"}),
    ("segment, wrong key", "/v1/batch", {"batch": []}, 401, {"code": "unknown_key", "success": False}),
    ("amplitude, wrong key", "/batch", {"api_key": "wrong", "events": []}, 400, {"code": 400}),
    ("snowplow, wrong key", "/com.snowplowanalytics.snowplow/tp2", {"data": [{"aid": "wrong"}]}, 401, {"code": "unknown_key"}),
]


@pytest.mark.parametrize(("path", "body", "status", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_without_a_key_nothing_is_taken(edge: EdgeProcess, path: str, body: Any, status: int, said: dict[str, Any]) -> None:
    headers = {"Authorization": f"Basic {b64encode(b'nobody:').decode()}"}
    answer = httpx.post(f"{edge.url}{path}", json=body, headers=headers)
    assert answer.status_code == status
    assert answer.json() | said == answer.json()
    if path == "/batch":
        assert answer.json()["error"].startswith("Invalid API key:")  # by these words its SDKs stop


def test_a_key_that_sends_too_much_is_told_when_to_come_back(client: httpx.Client) -> None:
    events = [envelope(str(uuid.uuid4())) for _ in range(10)]
    assert client.post("/v1/events", json=events, auth=(SLOW_KEY, "")).status_code == 200
    answer = client.post("/v1/events", json=events, auth=(SLOW_KEY, ""))
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) >= 1


TOO_LARGE = [
    ("/v1/batch", 500 * 1024, 413),
    ("/v1/events", 1 << 20, 413),
    ("/2/httpapi", 1 << 20, 413),
    ("/com.snowplowanalytics.snowplow/tp2", 1 << 20, 422),  # 413 they would try again for ever
]


@pytest.mark.parametrize(("path", "limit", "status"), TOO_LARGE)
def test_a_body_past_the_bound_is_refused_in_words_that_end_the_retries(
    client: httpx.Client, path: str, limit: int, status: int
) -> None:
    assert client.post(path, content=b" " * (limit + 1)).status_code == status


async def test_an_event_past_its_bound_is_a_dead_letter_and_the_others_are_taken(
    edge: EdgeProcess, client: httpx.Client
) -> None:
    word = uuid.uuid4().hex
    large = {**SEGMENT_ONE, "type": "page", "userId": f"u-{word}", "messageId": word, "properties": {"text": "x" * 33_000}}
    small = {**SEGMENT_ONE, "type": "page", "userId": f"u-{word}", "messageId": f"small-{word}"}
    assert client.post("/v1/batch", json={"batch": [large, small]}).json() == {"success": True}
    assert len(await of_user(edge, f"u-{word}", "events.page_view")) == 1
    (letter,) = [letter for letter in await letters(edge, word) if letter["reason"] == "oversized"]
    assert json.loads(b64decode(letter["original_base64"])) == large


async def test_a_type_without_a_topic_makes_dead_letters_and_the_others_go_on(make_edge: MakeEdge) -> None:
    """The catalogue may name a type before an operator has created its topic."""
    edge = make_edge()
    await install(edge.settings)
    added = {**DEFAULT_CATALOGUE.model_dump(mode="json")["event_types"], "late_type": {"budget_ms": 100, "class": "low"}}
    key = load_key(edge.settings, "ann")
    async with GovernanceWriter(edge.settings, key) as writer:
        await writer.append(drafts.catalogue(catalogue(event_types=added).model_dump(mode="json")), reason="a new type")
    await asyncio.to_thread(edge.start)
    await asyncio.to_thread(edge.wait_until_direct)
    sent = [envelope(str(uuid.uuid4()), event_name="late_type"), envelope(str(uuid.uuid4()))]
    client = httpx.Client(base_url=edge.url, auth=(PUBLIC_KEY, ""))
    answer = client.post("/v1/events", json=sent)
    assert answer.json() == {"accepted": 2, "rejected": []}
    assert edge.status()["kafka"] == "direct"
    (letter,) = await stored(edge.settings, "deadletter")
    assert letter.value["reason"] == "missing_topic"
    assert [record.value["event_id"] for record in await stored(edge.settings, "events.page_view")] == [sent[1]["event_id"]]
    late = [spec for spec in topic_specs(added, 1 << 20) if spec.name == "events.late_type"]
    await ensure_topics(edge.settings, late)
    assert client.post("/v1/events", json=sent[0]).status_code == 200
    client.close()
    (record,) = await stored(edge.settings, "events.late_type")
    assert record.value["event_id"] == sent[0]["event_id"]
