"""A history with logins: every command that reads topics follows a person from device to user, and finds what is wrong."""

import time
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import orjson
import pytest
from rich.console import Console

from app.checker.check import check
from app.checker.report import equation
from app.contract.topics import EXPOSURES, IDENTITY_LINKS, JOURNAL
from app.governance import log
from app.replay.explain import explain, find
from app.replay.explain_view import tree_of
from app.replay.verify import verify
from app.settings import Settings
from tests.replay.logins import LoginsWorld
from tests.replay.world import PARTITIONS, Stored, publish

pytestmark = pytest.mark.kafka

Publish = Callable[[LoginsWorld], Any]


@pytest.fixture(scope="module")
def with_logins() -> LoginsWorld:
    world = LoginsWorld((int(time.time()) - 3600) * 1000)
    world.run()
    return world


@pytest.fixture
def world(with_logins: LoginsWorld) -> LoginsWorld:
    copied = with_logins.copy()
    assert isinstance(copied, LoginsWorld)
    return copied


@pytest.fixture
def published(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Publish:
    # The times of a simulation are its producer's; of governance the fold takes none but the broker's.
    monkeypatch.setattr(log, "append_us_of", lambda message: message.timestamp * 1_000)

    async def put(world: LoginsWorld) -> Settings:
        settings = make_settings(partitions=PARTITIONS, root_public_key=world.root)
        await publish(world, settings)
        return settings

    return put


def bodies(world: LoginsWorld) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(partition, index, body)"""
    for partition in range(PARTITIONS):
        for index, stored in enumerate(world.journal(partition)):
            yield partition, index, orjson.loads(stored.value)


async def test_verify_and_the_checker_follow_every_login(published: Publish, world: LoginsWorld) -> None:
    settings = await published(world)
    report = await verify(settings)
    assert report.all_identical, report.shown
    assert report.compared == world.journalled
    found = await check(settings)
    assert found.first == ()
    assert "≠" not in equation(found)
    assert found.journal["linked"] > 20
    assert found.journal["forwarded"] > 20
    assert {"adopted", "agreed", "crossover", "held_out"} <= found.logins.keys()
    assert found.reasons["identity_pending"] > 0
    gift = next(body for _, _, body in bodies(world) if body.get("identity", {}).get("given") and body["input"]["event_id"])
    explanation = await explain(settings, await find(settings, event_id=gift["input"]["event_id"]))
    assert explanation.difference is None
    shown = Console(width=200, record=True, file=StringIO())
    shown.print(tree_of(explanation))
    for entry in gift["identity"]["given"]:
        assert f"gives {entry['policy']}" in shown.export_text(clear=False)


def rewrite(world: LoginsWorld, wanted: Callable[[dict[str, Any]], bool], change: Callable[[dict[str, Any]], None]) -> None:
    """The first journal record that is as wanted."""
    partition, index, body = next(place for place in bodies(world) if wanted(place[2]))
    change(body)
    records = world.topics[JOURNAL, partition]
    records[index] = records[index]._replace(value=orjson.dumps(body))


def settled(verdict: str) -> Callable[[dict[str, Any]], bool]:
    return lambda body: any(entry["verdict"] == verdict for entry in body.get("identity", {}).get("settled", ()))


def entry_of(body: dict[str, Any], verdict: str) -> dict[str, Any]:
    entry: dict[str, Any] = next(entry for entry in body["identity"]["settled"] if entry["verdict"] == verdict)
    return entry


def another_arm_after_the_login(world: LoginsWorld) -> None:
    rewrite(world, settled("adopted"), lambda body: entry_of(body, "adopted").update(variant="Z", holdout=False))


def a_crossover_that_is_called_agreed(world: LoginsWorld) -> None:
    rewrite(world, settled("crossover"), lambda body: entry_of(body, "crossover").update(verdict="agreed"))


def a_crossover_that_is_not_said(world: LoginsWorld) -> None:
    def drop(body: dict[str, Any]) -> None:
        body["identity"]["settled"].remove(entry_of(body, "crossover"))

    rewrite(world, settled("crossover"), drop)


def a_device_that_gave_something_else(world: LoginsWorld) -> None:
    gave = lambda body: any(entry["variant"] for entry in body.get("identity", {}).get("given", ()))  # noqa: E731
    rewrite(world, gave, lambda body: body["identity"]["given"].pop())


def sent_on(world: LoginsWorld, wanted: Callable[[dict[str, Any]], bool]) -> tuple[tuple[int, int], dict[str, Any], Any]:
    """(place of the device's journal record, its body, (partition, body) of the user's) of a record that was sent on."""
    served = {body["input"]["event_id"]: (p, body) for p, _, body in bodies(world) if "origin" in body and wanted(body)}
    return next(
        ((p, i), body, served[body["input"]["event_id"]])
        for p, i, body in bodies(world)
        if body["status"] == "forwarded" and body["input"]["event_id"] in served
    )


def a_login_undone(world: LoginsWorld) -> None:
    """What was sent on to the user is decided for the device instead."""
    (partition, index), forwarded, (_, body) = sent_on(world, lambda body: bool(body["decisions"]))
    records = world.topics[JOURNAL, partition]
    decided = {name: value for name, value in body.items() if name != "origin"}
    changed = decided | {"unit": forwarded["unit"], "input": forwarded["input"]}
    records[index] = records[index]._replace(value=orjson.dumps(changed))


def links_less(world: LoginsWorld) -> None:
    """From an adoption on."""
    records = world.topics[IDENTITY_LINKS, 0]
    del records[max(i for i, stored in enumerate(records) if b'"kind":"adopt"' in stored.value) :]


def counted_under_both_ids(world: LoginsWorld) -> None:
    """The device's partition claims an exposure that the user's has."""
    (partition, index), forwarded, (home, body) = sent_on(world, lambda body: bool(body.get("exposures")))
    (name,) = body["exposures"]
    stored = next(one for one in world.topics[EXPOSURES, home] if orjson.loads(one.value)["exposure_id"] == name)
    records = world.topics[JOURNAL, partition]
    records[index] = records[index]._replace(value=orjson.dumps(forwarded | {"exposures": [name]}))
    world.topics[EXPOSURES, partition].append(Stored(stored.timestamp_ms, forwarded["unit"].encode(), stored.value))


async def test_each_planted_fault_is_found_by_its_name(published: Publish, world: LoginsWorld) -> None:
    for plant in (
        another_arm_after_the_login, a_crossover_that_is_called_agreed, a_crossover_that_is_not_said,
        a_device_that_gave_something_else, a_login_undone, counted_under_both_ids,
    ):  # fmt: skip
        plant(world)
    report = await check(await published(world))
    found = report.findings
    assert {"rerolled", "adoption_wrong", "device_decided", "exposure_duplicated"} <= found.keys()
    assert found["crossover_hidden"] == 2


async def test_an_adoption_that_is_lost_on_its_way_is_found(published: Publish, world: LoginsWorld) -> None:
    links_less(world)
    assert (await check(await published(world))).findings["link_lost"] > 0
