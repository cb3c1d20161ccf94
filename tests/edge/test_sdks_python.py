"""Public Python SDKs, unmodified, against a real edge: each event is in its topic with type, id, identity and content."""

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import rudderstack.analytics.client as rudder
import segment.analytics.client as segment
from amplitude import Amplitude, BaseEvent, Config, EventOptions, Identify
from snowplow_tracker import (
    Emitter,
    PageView,
    SelfDescribing,
    SelfDescribingJson,
    StructuredEvent,
    Subject,
    Tracker,
)

from app.contract.ids import event_uuid, is_uuid
from tests.edge.process import PUBLIC_KEY, EdgeProcess, Stored, stored

pytestmark = pytest.mark.kafka

TOPICS = ("events.page_view", "events.feature_used", "events.billing_intent", "events.identify")


async def of_word(edge: EdgeProcess, word: str) -> dict[str, list[Stored]]:
    """The records of the test, whose user and device have the word in them, by event name."""
    found: dict[str, list[Stored]] = {}
    for record in await stored(edge.settings, *TOPICS):
        if word in str(record.value.get("user_id")) + str(record.value.get("anonymous_id")):
            found.setdefault(record.value["event_name"], []).append(record)
    return found


def check_envelope(record: Stored, source: str) -> None:
    value = record.value
    assert is_uuid(value["event_id"])
    assert value["source"] == source
    assert value["received_ts"] >= value["ts"][:10]
    assert record.topic == f"events.{value['event_name']}"
    if value["event_name"] == "identify":
        assert record.key == f"anon:{value['anonymous_id']}"
    else:
        assert record.key == value.get("user_id") or f"anon:{value['anonymous_id']}"


@pytest.fixture
def errors() -> Iterator[list[Any]]:
    """What an SDK reported as lost: nothing."""
    found: list[Any] = []
    yield found
    assert found == []


@pytest.mark.parametrize(("sdk", "more"), [(segment, {"gzip": True}), (segment, {}), (rudder, {})])
async def test_segment_and_rudderstack(edge: EdgeProcess, errors: list[Any], sdk: Any, more: dict[str, Any]) -> None:
    word = uuid.uuid4().hex
    user, device = f"u-{word}", f"d-{word}"
    client = sdk.Client(PUBLIC_KEY, host=edge.url, on_error=lambda *error: errors.append(error), max_retries=2, **more)
    context = {"page": {"path": "/checkout"}, "locale": "de-DE", "userAgent": "Mozilla/5.0 (iPhone; CPU) Mobile/15E148"}
    client.page(anonymous_id=device, name="Checkout", context=dict(context))
    client.identify(user, {"plan": "pro"}, anonymous_id=device, context=dict(context))
    client.track(user, "Report Exported", {"rows": 3}, anonymous_id=device, context=dict(context))
    client.track(user, "billing_intent", {"amount": 9.5}, message_id=f"order-{word}", context=dict(context))
    client.screen(user, name="Settings", context=dict(context))
    client.alias(device, user)
    client.flush()
    client.join()
    found = await of_word(edge, word)
    assert {name: len(records) for name, records in found.items()} == {
        "page_view": 2,
        "identify": 2,
        "feature_used": 1,
        "billing_intent": 1,
    }
    for record in (record for records in found.values() for record in records):
        check_envelope(record, "segment")
    (used,) = found["feature_used"]
    assert used.value["properties"] == {"rows": 3, "name": "Report Exported"}
    said = used.value["context"]
    assert (said["route"], said["device"], said["locale"]) == ("/checkout", "mobile", "de-DE")
    (intent,) = found["billing_intent"]
    assert (intent.value["source_id"], intent.value["event_id"]) == (f"order-{word}", event_uuid("segment", f"order-{word}"))
    identified = [record.value for record in found["identify"] if record.value.get("properties")]
    assert [(value["anonymous_id"], value["user_id"], value["properties"]["plan"]) for value in identified] == [
        (device, user, "pro")
    ]


@pytest.mark.parametrize("method", ["post", "get"])
@pytest.mark.parametrize("base64", [True, False])
async def test_snowplow(edge: EdgeProcess, errors: list[Any], method: Any, base64: bool) -> None:
    word = uuid.uuid4().hex
    emitter = Emitter(
        "127.0.0.1",
        protocol="http",
        port=edge.settings.edge_port,
        method=method,
        batch_size=1 if method == "get" else 3,
        on_failure=lambda _, events: errors.append(events),
    )
    subject = Subject().set_user_id(f"u-{word}").set_domain_user_id(f"d-{word}").set_lang("en-GB").set_platform("web")
    tracker = Tracker("ns", emitter, app_id=PUBLIC_KEY, subject=subject, encode_base64=base64)
    entity = SelfDescribingJson("iglu:com.acme/plan/jsonschema/1-0-0", {"name": "pro"})
    tracker.track(PageView(page_url="https://shop.example/cart?x=1", page_title="Cart", context=[entity]))
    tracker.track(StructuredEvent(category="video", action="play", label="intro", value=2.5))
    tracker.track(SelfDescribing(SelfDescribingJson("iglu:com.acme/billing_intent/jsonschema/1-0-0", {"amount": 9})))
    tracker.flush()
    found = await of_word(edge, word)
    assert {name: len(records) for name, records in found.items()} == {"page_view": 1, "feature_used": 1, "billing_intent": 1}
    for records in found.values():
        check_envelope(records[0], "snowplow")
        assert records[0].value["anonymous_id"] == f"d-{word}"
    view = found["page_view"][0].value
    assert view["context"]["contexts"] == {"plan": {"name": "pro"}}
    assert (view["context"]["route"], view["context"]["locale"]) == ("/cart", "en-GB")
    assert found["billing_intent"][0].value["context"]["sent_as"] == "billing_intent"


@pytest.mark.parametrize("batch", [False, True])
async def test_amplitude(edge: EdgeProcess, batch: bool) -> None:
    word = uuid.uuid4().hex
    answers: list[tuple[int, str]] = []
    done = threading.Event()

    def called_back(event: BaseEvent, code: int, message: str = "") -> None:
        answers.append((code, event.event_type))
        if len(answers) == 3:
            done.set()

    path = "/batch" if batch else "/2/httpapi"
    config = Config(server_url=f"{edge.url}{path}", use_batch=batch, callback=called_back, flush_interval_millis=50)
    client = Amplitude(PUBLIC_KEY, config)
    client.track(
        BaseEvent("Report Exported", f"u-{word}", f"d-{word}", event_properties={"rows": 3}, language="en-US", platform="iOS")
    )
    client.track(
        BaseEvent("[Amplitude] Page Viewed", device_id=f"d-{word}", event_properties={"[Amplitude] Page Path": "/cart"})
    )
    client.identify(Identify().set("plan", "pro"), EventOptions(user_id=f"u-{word}", device_id=f"d-{word}"))
    client.flush()
    assert done.wait(20), answers
    client.shutdown()
    assert {code for code, _ in answers} == {200}
    found = await of_word(edge, word)
    assert {name: len(records) for name, records in found.items()} == {"feature_used": 1, "page_view": 1, "identify": 1}
    for records in found.values():
        check_envelope(records[0], "amplitude")
    used = found["feature_used"][0].value
    assert used["properties"] == {"rows": 3, "name": "Report Exported"}
    assert (used["context"]["device"], used["context"]["locale"]) == ("mobile", "en-US")
    assert found["page_view"][0].value["context"]["route"] == "/cart"


@pytest.mark.parametrize(("sdk", "stops"), [(segment, "401"), (rudder, "unknown_key")])
def test_with_a_wrong_key_they_give_up_at_once(edge: EdgeProcess, sdk: Any, stops: str) -> None:
    """A refusal that they would try again would fill their queues for ever."""
    errors: list[str] = []
    client = sdk.Client("tlp_nobody", host=edge.url, on_error=lambda error, _: errors.append(str(error)))
    client.track("u-1", "Anything")
    client.flush()
    client.join()
    assert len(errors) == 1
    assert stops in errors[0]
