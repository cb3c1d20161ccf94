"""A history across two changes of the partition count: every command that reads topics comes out as if nothing had moved."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from app.checker.check import check
from app.checker.report import equation
from app.contract.topics import IDENTITY_LINKS, JOURNAL
from app.governance import log
from app.replay.explain import explain, find, records_of
from app.replay.selection import Selection
from app.replay.verify import verify
from app.replay.whatif import what_if
from app.settings import Settings
from tests.replay.scaled import COUNTS, ScaledWorld
from tests.replay.world import nudge, publish

pytestmark = pytest.mark.kafka

Publish = Callable[[ScaledWorld], Any]


@pytest.fixture(scope="module")
def scaled() -> ScaledWorld:
    return ScaledWorld((int(time.time()) - 3600) * 1000).run()


@pytest.fixture
def world(scaled: ScaledWorld) -> ScaledWorld:
    copied = scaled.copy()
    assert isinstance(copied, ScaledWorld)
    return copied


@pytest.fixture
def published(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Publish:
    # The times of a simulation are its producer's; of governance the fold takes none but the broker's.
    monkeypatch.setattr(log, "append_us_of", lambda message: message.timestamp * 1_000)

    async def put(world: ScaledWorld) -> Settings:
        settings = make_settings(partitions=COUNTS[-1], root_public_key=world.root)
        await publish(world, settings)
        return settings

    return put


def bodies_of(world: ScaledWorld, partition: int) -> list[dict[str, Any]]:
    return [orjson.loads(stored.value) for stored in world.journal(partition)]


def found_in(world: ScaledWorld, wanted: Callable[[dict[str, Any]], bool]) -> tuple[int, int, dict[str, Any]]:
    """(partition, index, body) of the first journal record that is as wanted."""
    return next(
        (partition, index, body)
        for partition in world.partitions
        for index, body in enumerate(bodies_of(world, partition))
        if wanted(body)
    )


async def test_every_command_comes_out_as_if_nothing_had_moved(published: Publish, world: ScaledWorld, tmp_path: Path) -> None:
    settings = await published(world)
    await verify_makes_every_journal_record_and_every_link_again(settings, world)
    await the_checker_follows_units_and_records_from_partition_to_partition(settings, world)
    await a_decision_is_explained_where_its_unit_lived_then(settings, world)
    await a_what_if_counts_each_unit_once_and_takes_its_rows_along(settings, world, tmp_path / "same.yaml")


async def verify_makes_every_journal_record_and_every_link_again(settings: Settings, world: ScaledWorld) -> None:
    report = await verify(settings)
    assert report.all_identical, report.shown
    links = sum(len(records) for (topic, _), records in world.topics.items() if topic == IDENTITY_LINKS)
    assert report.compared == world.journalled
    assert links < report.outputs_identical == report.outputs_compared
    _, _, arrival = found_in(world, lambda body: body["status"] == "moved_in" and body["unit"] is not None)
    of_one = await verify(settings, Selection(user=arrival["unit"]))
    assert of_one.all_identical
    assert len(of_one.partitions) > 1


async def the_checker_follows_units_and_records_from_partition_to_partition(settings: Settings, world: ScaledWorld) -> None:
    report = await check(settings)
    assert report.first == ()
    assert report.journal["moved_out"] == report.journal["moved_in"] > 0
    assert report.journal["forwarded"] > 0
    assert "links" in equation(report)
    assert "≠" not in equation(report)
    assert report.units == len(set(world.users) & {body["unit"] for p in world.partitions for body in bodies_of(world, p)})


async def a_decision_is_explained_where_its_unit_lived_then(settings: Settings, world: ScaledWorld) -> None:
    partition, _, body = found_in(world, lambda body: "origin" in body and body["status"] == "decided")
    place = await find(settings, event_id=body["input"]["event_id"])
    assert (place.partition, place.journalled.body) == (partition, body)
    explanation = await explain(settings, place)
    assert explanation.difference is None
    assert explanation.signal["event_id"] == body["input"]["event_id"]
    listed = await records_of(settings, body["unit"])
    assert len({place.partition for place in listed}) > 1
    assert [one.journalled.decided_us for one in listed] == sorted(one.journalled.decided_us for one in listed)


async def a_what_if_counts_each_unit_once_and_takes_its_rows_along(settings: Settings, world: ScaledWorld, file: Path) -> None:
    """The version in force, proposed again, changes nothing: neither for those who moved nor for those who stayed."""
    file.write_text(yaml.safe_dump(nudge()))
    (policy,) = (await what_if(settings, [file], coverage_permille=1000))["policies"]
    asked = {body["unit"] for p in world.partitions for body in bodies_of(world, p) for d in body["decisions"]}
    assert 0 < policy["units"] <= len(asked)
    assert not policy["moved"]
    assert not policy["left"]


def rewrite(world: ScaledWorld, partition: int, index: int, change: Callable[[dict[str, Any]], None]) -> None:
    records = world.topics[JOURNAL, partition]
    body = orjson.loads(records[index].value)
    change(body)
    records[index] = records[index]._replace(value=orjson.dumps(body))


def departures(world: ScaledWorld) -> Iterator[tuple[int, int]]:
    for partition in world.partitions:
        for index, body in enumerate(bodies_of(world, partition)):
            if body["status"] == "moved_out" and body["unit"] is not None:
                yield partition, index


def another_variant_in_the_new_partition(world: ScaledWorld) -> None:
    def is_sticky(body: dict[str, Any]) -> bool:
        return any(d["sticky"] and not d["holdout"] for d in body["decisions"])

    new = world.partitions[2:]
    arrived = {body["unit"] for p in new for body in bodies_of(world, p) if body["status"] == "moved_in"}
    places = ((p, i, body) for p in new for i, body in enumerate(bodies_of(world, p)))
    partition, index, _ = next((p, i, body) for p, i, body in places if body["unit"] in arrived and is_sticky(body))

    def change(body: dict[str, Any]) -> None:
        next(d for d in body["decisions"] if d["sticky"] and not d["holdout"])["variant"] = "Z"

    rewrite(world, partition, index, change)


def a_link_less(world: ScaledWorld) -> None:
    """It is missing where the journal of its sender names it, and where the journal of its reader does."""
    assert world.topics[IDENTITY_LINKS, world.partitions[-1]].pop()


def served_twice(world: ScaledWorld) -> None:
    partition, index, body = found_in(world, lambda body: "origin" in body and body["status"] == "decided")
    later = next(
        i
        for i, found in enumerate(bodies_of(world, partition))
        if i > index and found["status"] == "decided" and "origin" not in found
    )
    rewrite(world, partition, later, lambda found: found.update(origin=body["origin"]))


def other_rows_on_arrival(world: ScaledWorld) -> None:
    partition, index = next(departures(world))
    rewrite(world, partition, index, lambda body: body["moved"].update(state_digest="0" * 16))


def gone_for_nowhere(world: ScaledWorld) -> None:
    *_, (partition, index) = departures(world)
    rewrite(world, partition, index, lambda body: body["moved"].update(to=partition))


def other_bytes_in_a_link(world: ScaledWorld) -> None:
    links = ((p, records) for (topic, p), records in world.topics.items() if topic == IDENTITY_LINKS)
    moves = ((p, i) for p, records in links for i, stored in enumerate(records) if b'"kind":"move"' in stored.value)
    world.change(IDENTITY_LINKS, *next(moves), b'"parts":1', b'"parts": 1')


async def test_each_planted_fault_is_found_by_its_name(published: Publish, world: ScaledWorld) -> None:
    for plant in (
        another_variant_in_the_new_partition, a_link_less, served_twice, other_rows_on_arrival, gone_for_nowhere,
        other_bytes_in_a_link,
    ):  # fmt: skip
        plant(world)
    settings = await published(world)
    report = await check(settings)
    for kind in ("rerolled", "link_lost", "duplicated", "unit_changed", "unit_lost", "unit_duplicated"):
        assert report.findings[kind], kind  # type: ignore[index]
    assert (await verify(settings)).counts["output_different"] == 1
