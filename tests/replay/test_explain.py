"""explain: the gates, what they saw, who brought the version into force, and whether it replays."""

from collections.abc import Awaitable, Callable

import orjson
import pytest
from rich.console import Console

from app.contract.topics import JOURNAL
from app.errors import CallerError
from app.replay.explain import explain, find, records_of
from app.replay.explain_view import listing, tree_of
from app.settings import Settings
from tests.replay.world import World

pytestmark = pytest.mark.kafka

Publish = Callable[[World], Awaitable[Settings]]


def text_of(shown: object) -> str:
    console = Console(width=400, force_terminal=False)
    with console.capture() as captured:
        console.print(shown)
    return captured.get()


async def test_a_decision_is_explained_gate_by_gate(published: Publish, world: World) -> None:
    settings = await published(world)
    body = orjson.loads(world.journal()[world.find("sticky")].value)
    decision = next(d for d in body["decisions"] if d["reason"] == "sticky")
    found = await explain(settings, await find(settings, decision_id=decision["decision_id"]), decision["decision_id"])
    assert found.decisions == [decision]
    assert found.difference is None
    assert found.signal["event_id"] == body["input"]["event_id"]
    assert found.user_before["counts"]
    assert found.assignments_before["assignments"][decision["policy"]]["variant"] == decision["variant"]
    types = [record.type for _, record in found.governance[decision["decision_id"]]]
    assert types[:3] == ["proposed", "approved", "activated"]
    shown = text_of(tree_of(found))
    assert all(f"{gate['gate']}: {gate['why']}" in shown for gate in decision["gates"])
    assert "activated by otto" in shown
    assert "replay gives the same bytes" in shown


async def test_an_event_is_explained_with_all_its_decisions(published: Publish, world: World) -> None:
    settings = await published(world)
    body = orjson.loads(world.journal()[world.find("ineligible")].value)
    found = await explain(settings, await find(settings, event_id=body["input"]["event_id"]))
    assert found.decisions == body["decisions"]
    assert len(found.decisions) == 2


async def test_a_record_that_does_not_replay_says_so(published: Publish, world: World) -> None:
    at = world.find("assigned")
    world.change(JOURNAL, 0, at, b'"why":"matched"', b'"why":"matchxd"')
    body = orjson.loads(world.journal()[at].value)
    settings = await published(world)
    found = await explain(settings, await find(settings, event_id=body["input"]["event_id"]))
    assert found.difference is not None
    assert found.difference.path.endswith("gates[2].why")
    assert "replay differs" in text_of(tree_of(found))


async def test_a_fired_timer_is_explained_too(published: Publish, world: World) -> None:
    settings = await published(world)
    body = orjson.loads(world.journal()[world.find("expired")].value)
    decision = body["decisions"][0]["decision_id"]
    found = await explain(settings, await find(settings, decision_id=decision), decision)
    assert found.difference is None


async def test_a_user_s_records_are_listed(published: Publish, world: World) -> None:
    settings = await published(world)
    unit = orjson.loads(world.journal()[world.find("fired")].value)["unit"]
    places = await records_of(settings, unit)
    assert {place.journalled.unit for place in places} == {unit}
    assert "fired" in text_of(listing(places))


async def test_an_unknown_decision_is_an_error_that_names_it(published: Publish, world: World) -> None:
    settings = await published(world)
    with pytest.raises(CallerError) as caught:
        await find(settings, decision_id="nobody")
    assert "nobody" in str(caught.value)
