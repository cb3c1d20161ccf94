"""A team's own events become types of the catalogue by a table; what is wrong with one is said before it is signed."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from app.contract.catalogue import DEFAULT_CATALOGUE, Catalogue
from app.contract.mappings import DEFAULT_MAPPINGS
from app.contract.topics import DEADLETTER
from app.edge.intake import Arrival, Sent, Taken, take_native, take_sent
from app.edge.rules import Rules, rules_of

RECEIVED_US = 1_795_000_000_000_000
TS = "2026-11-18T10:00:00.000000Z"


def rules(mappings: dict[str, Any] | None = None, **more: Any) -> Rules:
    body = DEFAULT_CATALOGUE.model_dump(mode="json") | {"mappings": mappings or {}} | more
    return rules_of(Catalogue.model_validate(body), 7)


def arrival(collector: str = "segment", event_bytes: int = 32_768, *, is_server: bool = False) -> Arrival:
    return Arrival(collector, RECEIVED_US, is_server, event_bytes)


def track(name: str, mappings: dict[str, Any] | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
    """Topic and value that a Segment track becomes."""
    event = {"type": "track", "event": name, "messageId": "m-1", "userId": "u-1", "timestamp": TS} | more
    taken = take_sent([Sent("track", (name,), event, event)], arrival(), rules(mappings))
    return taken.records[0].topic, orjson.loads(taken.records[0].value)


def test_their_event_name_becomes_one_of_our_types_by_one_line() -> None:
    topic, value = track("Order Completed", {"segment": {"track:Order Completed": "billing_intent"}}, properties={"total": 9})
    assert topic == "events.billing_intent"
    assert value["properties"] == {"total": 9}
    assert value["context"]["sent_as"] == "Order Completed"


def test_a_named_event_may_have_fields_of_its_own() -> None:
    own = {"event_name": "billing_intent", "properties.amount": {"column": "properties.total", "type": "number"}}
    _, value = track("Order Completed", {"segment": {"track:Order Completed": own}}, properties={"total": "9.50"})
    assert value["properties"] == {"total": "9.50", "amount": 9.5}


def test_every_event_may_get_a_field_and_lose_one() -> None:
    own = {"*": {"org": "$properties.account", "context.library": None}}
    _, value = track("Anything", {"segment": own}, properties={"account": "acme"}, context={"library": {"name": "x"}})
    assert value["org"] == "acme"
    assert "library" not in value["context"]


def test_a_name_that_is_a_type_already_is_that_type() -> None:
    assert track("page_view")[0] == "events.page_view"
    assert track("activation_milestone", properties={"name": "project_created"})[1]["properties"] == {"name": "project_created"}
    assert track("Project Created")[0] == "events.feature_used"


def test_a_type_that_the_catalogue_adds_needs_no_mapping() -> None:
    body = DEFAULT_CATALOGUE.model_dump(mode="json")
    added = body["event_types"] | {"support_contact": {"budget_ms": 1_000, "class": "low"}}
    event = {"type": "track", "event": "support_contact", "messageId": "m", "userId": "u", "timestamp": TS}
    taken = take_sent([Sent("track", ("support_contact",), event, event)], arrival(), rules(event_types=added))
    assert taken.records[0].topic == "events.support_contact"


def test_what_is_switched_off_or_unknown_is_a_dead_letter_that_says_where_to_add_it() -> None:
    topic, letter = track("Noise", {"segment": {"track:Noise": None}})
    assert (topic, letter["reason"]) == (DEADLETTER, "unmapped_event")
    assert "track:Noise" in letter["message"]
    assert "mappings.segment" in letter["message"]


@pytest.mark.parametrize(
    ("mappings", "words"),
    [
        ({"mixpanel": {}}, "'mixpanel' is no collector"),
        ({"segment": {"track:X": "no_such_type"}}, "'no_such_type' is no type of the catalogue"),
        ({"segment": {"track:X": {"properties.a": "$a"}}}, "event_name None"),
        ({"segment": {"track:X": {"event_name": "page_view", "userid": "$u"}}}, "'userid' is no field of the envelope"),
        ({"segment": {"track:X": {"event_name": "page_view", "ts": {"column": "t", "type": "date"}}}}, "type 'date'"),
        ({"snowplow": {"*": {"org": {"colum": "x"}}}}, "['colum']"),
    ],
)
def test_a_mapping_that_cannot_work_never_gets_into_the_log(mappings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rules(mappings)
    assert words in str(caught.value)


def test_a_catalogue_that_has_lost_a_type_keeps_its_other_mappings() -> None:
    body = DEFAULT_CATALOGUE.model_dump(mode="json")
    fewer = {name: entry for name, entry in body["event_types"].items() if name != "feature_used"}
    found = rules(event_types=fewer)
    assert found.mappings["segment"].find("track", ("Anything",)) is None
    assert found.mappings["segment"].find("page", ()) is not None


def test_an_event_sent_again_is_the_same_event_to_the_byte_but_for_its_arrival() -> None:
    event = {"type": "page", "userId": "u-1", "context": {"page": {"path": "/a"}}, "timestamp": TS, "sentAt": "1"}
    values = []
    for sent_at, received_us in (("1", RECEIVED_US), ("2", RECEIVED_US + 5)):
        again = event | {"messageId": "m-1", "sentAt": sent_at}
        taken = take_sent([Sent("page", (), again, again)], arrival()._replace(received_us=received_us), rules())
        value = orjson.loads(taken.records[0].value)
        del value["received_ts"]
        values.append(value)
    assert values[0] == values[1]


def test_no_default_mapping_reads_what_changes_with_every_try() -> None:
    text = orjson.dumps(DEFAULT_MAPPINGS).decode()
    assert "sentAt" not in text
    assert '"$stm"' not in text


def test_an_event_without_an_id_gets_one_of_its_content() -> None:
    event = {"type": "page", "userId": "u-1", "timestamp": TS}
    ids = [
        take_sent([Sent("page", (), event | more, event | more)], arrival(), rules()).records[0].event_id
        for more in ({}, {}, {"name": "other"})
    ]
    assert ids[0] == ids[1] != ids[2]


def test_a_letter_of_an_oversized_event_fits_into_its_topic() -> None:
    limit = 4_096
    small = rules(bounds={"max_record_bytes": limit})
    event = {"event_name": "page_view", "event_id": "e", "user_id": "u", "ts": TS, "properties": {"text": "x" * 100_000}}
    taken: Taken = take_native([event], arrival("edge", 1 << 20), small)
    assert taken.rejected[0].code == "oversized"
    assert len(taken.records[0].value) < 2 * limit * 4 // 3 + 2_048


def test_the_sender_is_held_to_what_it_sent_not_to_what_the_edge_adds() -> None:
    event = {"type": "page", "messageId": "m", "userId": "u-1", "timestamp": TS, "properties": {"text": ""}}
    event["properties"] = {"text": "x" * (32_768 - len(orjson.dumps(event)))}
    taken = take_sent([Sent("page", (), event, event)], arrival(), rules())
    assert taken.rejected == {}
    event["properties"]["text"] += "x"  # type: ignore[index]
    assert take_sent([Sent("page", (), event, event)], arrival(), rules()).rejected[0].code == "oversized"
