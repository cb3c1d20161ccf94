"""verify on the real broker: a history as it happened is identical; whatever is changed in it afterwards is found."""

from collections.abc import Awaitable, Callable

import orjson
import pytest

from app.contract.topics import DEADLETTER, EXPOSURES, JOURNAL, OUTCOMES
from app.replay.report import VerifyReport
from app.replay.selection import EVERYTHING, Bound, Selection
from app.replay.verify import verify
from app.settings import Settings
from tests.replay.world import World

pytestmark = pytest.mark.kafka

Publish = Callable[[World], Awaitable[Settings]]
PLACE = ("events.page_view", 0)


async def verified(published: Publish, world: World, selection: Selection = EVERYTHING) -> VerifyReport:
    return await verify(await published(world), selection)


async def test_an_untouched_history_is_identical_record_by_record(published: Publish, world: World) -> None:
    report = await verified(published, world)
    assert report.shown == []
    assert report.all_identical
    assert report.records == report.compared == report.identical == world.journalled
    outputs = sum(len(records) for (topic, _), records in world.topics.items() if topic in (EXPOSURES, OUTCOMES, DEADLETTER))
    assert report.outputs_compared == report.outputs_identical == outputs
    assert report.waiting == 0


async def test_a_state_on_disk_gives_the_same_bytes(published: Publish, world: World) -> None:
    report = await verify(await published(world), state="disk")
    assert report.all_identical
    assert report.identical == world.journalled


async def test_partitions_in_processes_of_their_own_give_one_report(published: Publish, world: World) -> None:
    world.change(JOURNAL, 1, world.find("assigned", 1), b'"why":"matched"', b'"why":"matchxd"')
    report = await verify(await published(world.governed_now()), jobs=2)
    assert report.partitions == [0, 1]
    assert report.compared == world.journalled == report.identical + 1
    assert [(finding.kind, finding.partition) for finding in report.shown] == [("different", 1)]


async def test_a_changed_input_is_found_with_both_values(published: Publish, world: World) -> None:
    at = world.find("assigned")
    offset = orjson.loads(world.journal()[at].value)["input"]["offset"]
    world.change(*PLACE, offset, b"/app/onboarding", b"/app/elsewhere!")
    report = await verified(published, world)
    first = report.shown[0]
    assert (first.kind, first.topic, first.partition) == ("different", JOURNAL, 0)
    assert first.path is not None
    assert first.recorded != first.replayed
    assert report.counts["different"] >= 1


async def test_one_changed_gate_in_the_journal_is_found_and_nothing_else(published: Publish, world: World) -> None:
    at = world.find("assigned")
    world.change(JOURNAL, 0, at, b'"why":"matched"', b'"why":"matchxd"')
    report = await verified(published, world)
    assert dict(report.counts) == {"different": 1}
    (finding,) = report.shown
    assert finding.path is not None
    assert finding.path.startswith("decisions[")
    assert finding.path.endswith("gates[2].why")
    assert (finding.recorded, finding.replayed) == ("matchxd", "matched")
    assert report.identical == world.journalled - 1


async def test_a_changed_state_digest_is_found(published: Publish, world: World) -> None:
    at = world.find("no_match")
    digest = orjson.loads(world.journal()[at].value)["state_digest"].encode()
    world.change(JOURNAL, 0, at, digest, digest[::-1] if digest[::-1] != digest else b"0" * 16)
    report = await verified(published, world)
    assert [finding.path for finding in report.shown] == ["state_digest"]


async def test_a_fact_that_only_the_state_shows_is_found_at_the_unit_s_next_records(published: Publish, world: World) -> None:
    """The milestone's name goes into the user row and nowhere into its journal record but the digest."""
    world.change("events.activation_milestone", 0, 0, b"project_created", b"project_deleted")
    report = await verified(published, world)
    assert report.counts["different"] >= 1
    assert report.shown[0].path == "state_digest"


async def test_a_changed_governance_record_is_found(published: Publish, world: World) -> None:
    """Its signature no longer holds, so replay refuses it and decides otherwise."""
    at = next(i for i, stored in enumerate(world.governance) if b'"type":"ramped"' in stored.value)
    stored = world.governance[at]
    world.governance[at] = stored._replace(
        value=stored.value.replace(b'"coverage_permille":1000', b'"coverage_permille":900', 1)
    )
    report = await verified(published, world)
    assert report.counts["different"] >= 1
    assert not report.all_identical


async def test_a_governance_log_that_ends_too_early_makes_the_rest_unverifiable(published: Publish, world: World) -> None:
    del world.governance[-1]
    report = await verified(published, world)
    assert report.counts["governance_missing"] >= 1
    assert report.counts["unverifiable"] >= 1
    assert report.compared + report.counts["unverifiable"] == world.journalled


async def test_a_missing_journal_record_is_found(published: Publish, world: World) -> None:
    at = world.find("no_match")
    body = orjson.loads(world.journal()[at].value)
    del world.journal()[at]
    report = await verified(published, world)
    assert report.counts["missing"] == 1
    finding = next(finding for finding in report.shown if finding.kind == "missing")
    assert (finding.topic, finding.offset) == (body["input"]["topic"], body["input"]["offset"])


async def test_a_missing_fired_record_is_found(published: Publish, world: World) -> None:
    del world.journal()[world.find("fired")]
    report = await verified(published, world)
    assert {"missing_fired", "extra_fired", "different"} & report.counts.keys()
    assert not report.all_identical


async def test_the_last_fired_record_is_missed_even_when_no_tick_after_it_has_one(published: Publish, world: World) -> None:
    fired = [i for i, stored in enumerate(world.journal()) if b'"status":"fired"' in stored.value]
    for i in reversed(fired):
        del world.journal()[i]
    report = await verified(published, world)
    assert report.counts["missing_fired"] >= 1


async def test_a_duplicate_journal_record_is_found(published: Publish, world: World) -> None:
    at = world.find("no_match")
    world.journal().insert(at + 1, world.journal()[at])
    report = await verified(published, world)
    assert dict(report.counts) == {"duplicate": 1}


async def test_a_duplicate_fired_record_is_found(published: Publish, world: World) -> None:
    at = world.find("fired")
    world.journal().insert(at + 1, world.journal()[at])
    report = await verified(published, world)
    assert report.counts.keys() & {"extra_fired", "different"}
    assert not report.all_identical


@pytest.mark.parametrize("topic", [EXPOSURES, OUTCOMES, DEADLETTER])
async def test_missing_doubled_and_changed_outputs_are_found(published: Publish, world: World, topic: str) -> None:
    doubled, changed = world.topics[topic, 0], world.topics[topic, 1]
    del doubled[4]
    doubled.insert(2, doubled[1])
    old, new = (b'"schema":"truelift', b'"schema":"truelxft')
    world.change(topic, 1, 2, old, new)
    assert len(changed) > 3
    report = await verified(published, world)
    assert dict(report.counts) == {"output_missing": 1, "output_unexpected": 1, "output_different": 1}
    assert report.identical == world.journalled


async def test_another_engine_s_record_is_never_identical(published: Publish, world: World) -> None:
    at = world.find("no_match")
    world.change(JOURNAL, 0, at, b'"engine_semantics":1', b'"engine_semantics":9')
    report = await verified(published, world)
    assert dict(report.counts) == {"other_engine": 1}
    assert report.identical == report.compared == world.journalled - 1
    assert not report.all_identical


async def test_a_governance_offset_that_goes_back_is_found(published: Publish, world: World) -> None:
    at = world.find("no_match", after=200)
    offset = orjson.loads(world.journal()[at].value)["governance_offset"]
    world.change(JOURNAL, 0, at, b'"governance_offset":%d' % offset, b'"governance_offset":%d' % (offset - 1))
    report = await verified(published, world)
    assert report.counts["governance_back"] == 1


async def test_a_record_of_the_journal_topic_that_is_none_is_found(published: Publish, world: World) -> None:
    world.journal().insert(3, world.journal()[3]._replace(value=b"{}"))
    report = await verified(published, world)
    assert dict(report.counts) == {"unreadable": 1}


async def test_an_input_that_is_gone_makes_what_follows_unverifiable(published: Publish, world: World) -> None:
    at = world.find("no_match")
    offset = orjson.loads(world.journal()[at].value)["input"]["offset"]
    world.change(JOURNAL, 0, at, b'"offset":%d' % offset, b'"offset":99999')
    report = await verified(published, world)
    assert report.counts["not_in_topic"] == 1
    assert report.counts["unverifiable"] >= 1
    assert not report.all_identical


async def test_only_the_selected_records_are_compared(published: Publish, world: World) -> None:
    settings = await published(world)
    bodies = [orjson.loads(stored.value) for stored in world.journal()]
    unit = bodies[world.find("fired")]["unit"]
    of_user = await verify(settings, Selection(user=unit))
    assert of_user.all_identical
    assert of_user.compared == sum(body["unit"] == unit for body in bodies)
    middle = Selection(start=Bound(offset=100), end=Bound(offset=200), partition=0)
    ranged = await verify(settings, middle)
    assert ranged.all_identical
    assert 90 <= ranged.compared <= 100


async def test_inputs_after_the_last_journalled_one_are_waiting_not_missing(published: Publish, world: World) -> None:
    user = world.users[0]
    world.topics["events.billing_intent", 0].append(world.topics["events.page_view", 0][0]._replace(key=user.encode()))
    report = await verified(published, world)
    assert report.waiting == 1
    assert report.all_identical
