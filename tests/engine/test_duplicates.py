"""Duplicates: an event id of a unit counts once within the window of broker time, and stands for one content."""

import pytest

from tests.engine.world import Json, World, body, catalogue, snapshot

DAY_S = 86_400
POLICIES = snapshot(body())


def test_the_same_record_again_is_a_duplicate_that_decides_counts_and_changes_nothing() -> None:
    world = World(POLICIES)
    event = world.event()
    first = world.put(event)
    before = world.rows()
    again = world.wait(5).put(event)
    assert (again.status, again.journal["decisions"], len(again.step.outputs)) == ("duplicate", [], 1)
    assert again.journal["state_digest"] == first.journal["state_digest"]
    assert (again.journal["unit"], again.journal["input"]["event_id"]) == ("u-1", event["event_id"])
    assert world.rows() == before


def test_a_record_that_an_edge_received_again_is_the_same_record() -> None:
    world = World(POLICIES)
    event = world.event()
    world.put(event | {"received_ts": "2026-11-22T10:15:30Z"})
    assert world.put(event | {"received_ts": "2026-11-22T10:15:31Z"}).status == "duplicate"
    assert world.put(event).status == "duplicate"


def test_the_order_of_the_fields_is_no_content() -> None:
    world = World(POLICIES)
    event = world.event(properties={"a": 1, "b": 2})
    world.put(event)
    assert world.put(dict(reversed(event.items())) | {"properties": {"b": 2, "a": 1}}).status == "duplicate"


@pytest.mark.parametrize(
    "other", [{"properties": {"x": 1}}, {"ts": "2026-11-22T10:15:31Z"}, {"session_id": "s-2"}, {"org": "acme"}]
)
def test_the_same_id_with_other_content_is_a_conflict_and_goes_to_the_dead_letter(other: Json) -> None:
    world = World(POLICIES)
    event = world.event()
    world.put(event)
    before = world.rows()
    result = world.put(event | other)
    assert (result.status, result.code) == ("rejected", "event_id_conflict")
    assert result.on("deadletter")[0]["reason"] == "event_id_conflict"
    assert world.rows() == before
    assert world.put(event).status == "duplicate"


def test_the_same_id_under_another_type_is_a_conflict() -> None:
    world = World(POLICIES)
    event = world.event()
    world.put(event)
    assert world.put(event | {"event_name": "feature_used"}).code == "event_id_conflict"


def test_the_same_id_of_another_unit_is_another_event() -> None:
    world = World(POLICIES)
    event = world.event()
    world.put(event)
    assert world.put(event | {"user_id": "u-2"}).status == "decided"


@pytest.mark.parametrize(("seconds", "status"), [(DAY_S - 0.001, "duplicate"), (DAY_S, "decided"), (10 * DAY_S, "decided")])
def test_the_window_is_a_day_of_broker_time_by_default(seconds: float, status: str) -> None:
    world = World(POLICIES)
    event = world.event()
    world.put(event)
    assert world.wait(seconds).put(event).status == status


@pytest.mark.parametrize(("seconds", "status"), [(59.999, "duplicate"), (60, "decided")])
def test_the_window_is_a_catalogue_value(seconds: float, status: str) -> None:
    world = World(snapshot(body(), catalogue=catalogue(windows={"dedup_window_seconds": 60})))
    event = world.event()
    world.put(event)
    assert world.wait(seconds).put(event).status == status


def test_a_repeat_over_midnight_is_a_duplicate() -> None:
    world = World(POLICIES).wait(13.74 * 3600)  # 23:59:54
    event = world.event()
    world.put(event)
    assert world.wait(10).put(event).status == "duplicate"


@pytest.mark.parametrize("days", [1, 2, 5, 7])
def test_a_window_of_several_days_finds_an_id_in_each_of_them(days: int) -> None:
    world = World(snapshot(body(), catalogue=catalogue(windows={"dedup_window_seconds": 7 * DAY_S})))
    event = world.event()
    world.put(event)
    assert world.wait(days * DAY_S - 1).put(event).status == "duplicate"


def test_an_id_that_came_back_after_its_window_is_remembered_anew() -> None:
    world = World(POLICIES)
    event = world.event()
    world.put(event)
    assert world.wait(DAY_S + 3600).put(event).status == "decided"
    assert world.wait(DAY_S - 1).put(event).status == "duplicate"


def test_a_repeat_does_not_prolong_the_window() -> None:
    world = World(POLICIES)
    event = world.event()
    world.put(event)
    assert world.wait(DAY_S - 1).put(event).status == "duplicate"
    assert world.wait(1).put(event).status == "decided"


def test_a_rejected_record_is_not_remembered_so_that_its_retry_can_succeed() -> None:
    world = World(POLICIES)
    event = world.event()
    assert world.put_raw("events.feature_used", b"{}").status == "rejected"
    assert world.put(event | {"ts": "2030-01-01T00:00:00Z"}).code == "future_ts"
    assert world.put(event).status == "decided"


def test_ids_expire_by_ticks_after_the_window_and_the_day_and_no_decision_changes() -> None:
    world = World(POLICIES)
    events = [world.event() for _ in range(3)]
    for event in events:
        world.put(event)
    world.wait(DAY_S + 1).tick()
    assert len(world.rows()["seen"]) == 3  # the window is over, but not for a day: a lagging topic may still ask for them
    world.wait(2 * DAY_S)
    assert world.tick() == []  # a tick that only expires ids has no journal record
    assert world.rows()["seen"] == {}
    assert world.put(events[0]).status == "decided"


def test_a_tick_expires_no_more_ids_than_its_bound() -> None:
    world = World(snapshot(body(), catalogue=catalogue(bounds={"seen_expired_per_tick": 4})))
    for _ in range(10):
        world.send()
    world.wait(3 * DAY_S)
    left = []
    for _ in range(4):
        world.tick()
        left.append(len(world.rows()["seen"]))
    assert left == [6, 2, 0, 0]


def test_an_sdk_id_that_is_no_uuid_is_recognised_by_source_and_id() -> None:
    world = World(POLICIES)
    event = world.event(event_id="sdk-1", source="web")
    first = world.put(event)
    assert first.status == "decided"
    assert world.put(event).status == "duplicate"
    other = world.put(event | {"source": "ios"})
    assert other.status == "decided"
    assert other.journal["input"]["event_id"] != first.journal["input"]["event_id"]


def test_an_upper_case_uuid_is_the_same_id() -> None:
    world = World(POLICIES)
    result = world.send(event_id="6F1F8C1E-0D0E-4C55-9A51-0F6D3A0B7A11")
    assert result.journal["input"]["event_id"] == "6f1f8c1e-0d0e-4c55-9a51-0f6d3a0b7a11"
