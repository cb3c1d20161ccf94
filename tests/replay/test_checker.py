"""The checker on the real broker: a history as it happened is clean; each planted fault is found by its name."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from rich.console import Console

from app.checker.check import check
from app.checker.report import CheckReport, equation, show
from app.contract.times import parse_us
from app.contract.topics import DEADLETTER, EXPOSURES, JOURNAL, OUTCOMES
from app.governance.drafts import kill
from app.settings import Settings
from tests.replay.world import DELAY, NUDGE, PARTITIONS, SHADOW, Stored, World

pytestmark = pytest.mark.kafka

Publish = Callable[[World], Awaitable[Settings]]


async def checked(published: Publish, world: World, *, live: bool = False) -> CheckReport:
    return await check(await published(world), live=live)


def rewrite(world: World, at: int, change: Callable[[dict[str, Any]], None], partition: int = 0) -> None:
    stored = world.journal(partition)[at]
    body = orjson.loads(stored.value)
    change(body)
    world.journal(partition)[at] = stored._replace(value=orjson.dumps(body))


async def test_an_untouched_history_is_clean_and_adds_up(published: Publish, world: World) -> None:
    report = await checked(published, world)
    assert report.first == ()
    assert report.clean
    assert (report.lost, report.duplicated, report.rerolled) == (0, 0, 0)
    assert sum(report.journal.values()) == world.journalled == sum(report.inputs.values()) + report.fired
    assert " = " in equation(report).replace("≠", "!")
    assert report.ticks == 180
    assert sum(report.exposures.values()) == sum(len(world.topics[EXPOSURES, p]) for p in range(2))
    assert (
        sum(report.deadletters.values())
        == sum(len(world.topics[DEADLETTER, p]) for p in range(2))
        == report.journal["rejected"]
    )
    assert report.reasons["sticky"] > 0
    assert 0 < report.held_out < report.units_asked_for_holdout <= report.units
    assert {f"{NUDGE}/A accepted", f"{NUDGE}/Z refused"} <= report.acknowledgements.keys()
    assert {f"{DELAY}/A", f"{DELAY}/B"} <= report.outcomes.keys()


async def test_the_report_is_shown_with_what_it_found(published: Publish, world: World) -> None:
    del world.journal()[world.find("no_match")]
    report = await checked(published, world)
    console = Console(width=200)
    with console.capture() as captured:
        show(report, console)
    assert "≠" in captured.get()
    assert "inputs without a journal record" in captured.get()
    assert orjson.loads(orjson.dumps(report.as_json()))["findings"] == {"lost": 1}


async def test_a_lost_input_is_found(published: Publish, world: World) -> None:
    del world.journal()[world.find("no_match")]
    report = await checked(published, world)
    assert report.findings == {"lost": 1}
    assert report.lost == 1


async def test_inputs_at_the_end_are_lost_unless_the_worker_still_runs(published: Publish, world: World) -> None:
    world.topics["events.page_view", 0].append(world.topics["events.page_view", 0][0])
    settings = await published(world)
    assert (await check(settings)).findings == {"lost": 1}
    live = await check(settings, live=True)
    assert live.clean
    assert live.waiting == 1


async def test_an_input_journalled_twice_is_found(published: Publish, world: World) -> None:
    at = world.find("no_match")
    world.journal().append(world.journal()[at])
    assert (await checked(published, world)).findings == {"duplicated": 1, "governance_back": 1}


async def test_an_input_journalled_out_of_order_is_no_loss(published: Publish, world: World) -> None:
    at = world.find("no_match")
    stored = world.journal().pop(at)
    world.journal().insert(at + 60, stored)
    report = await checked(published, world)
    assert report.findings["out_of_order"] == 1
    assert report.lost == 0


async def test_a_journal_record_without_its_input_is_found(published: Publish, world: World) -> None:
    def change(body: dict[str, Any]) -> None:
        body["input"]["offset"] = 5_000

    rewrite(world, len(world.journal()) - 1, change)
    report = await checked(published, world)
    assert report.findings["phantom"] == 1


async def test_a_timer_that_fired_twice_and_one_that_never_did_are_found(published: Publish, world: World) -> None:
    at = world.find("fired")
    world.journal()[world.find("fired", after=at + 1)] = world.journal()[at]
    report = await checked(published, world)
    assert report.findings["timer_duplicated"] == 1
    assert report.findings["timer_lost"] == 1


async def test_a_rerolled_user_is_found(published: Publish, world: World) -> None:
    def change(body: dict[str, Any]) -> None:
        for decision in body["decisions"]:
            if decision["reason"] == "sticky":
                decision["variant"] = {"A": "B", "B": "A"}[decision["variant"]]

    sticky = [i for i, stored in enumerate(world.journal()) if b'"reason":"sticky"' in stored.value]
    rewrite(world, sticky[-1], change)
    report = await checked(published, world)
    assert report.rerolled >= 1
    assert report.findings.keys() == {"rerolled"}


async def test_a_held_out_user_that_is_assigned_later_is_rerolled(published: Publish, world: World) -> None:
    def change(body: dict[str, Any]) -> None:
        decision = next(decision for decision in body["decisions"] if decision["holdout"])
        decision |= {"holdout": False, "assigned": True, "variant": "A"}

    held = [
        (partition, i)
        for partition in range(PARTITIONS)
        for i, stored in enumerate(world.journal(partition))
        if b'"holdout":true' in stored.value
    ]
    partition, at = held[-1]
    rewrite(world, at, change, partition)
    assert (await checked(published, world)).rerolled == 1


async def test_a_governance_offset_that_goes_back_is_found(published: Publish, world: World) -> None:
    def change(body: dict[str, Any]) -> None:
        body["governance_offset"] -= 1

    rewrite(world, len(world.journal()) - 1, change)
    assert (await checked(published, world)).findings == {"governance_back": 1}


async def test_a_treatment_after_a_kill_is_found(published: Publish, world: World) -> None:
    """A signed kill that nobody obeyed: it lies in the log before the decisions that it forbids."""
    world.govern("otto", kill(NUDGE), after_ms=89_000)
    killed = world.governance.pop()
    world.governance.append(killed)
    offset = len(world.governance) - 1

    def change(body: dict[str, Any]) -> None:
        body["governance_offset"] = offset

    def is_treated(decision: dict[str, Any]) -> bool:
        return bool(decision["policy"] == NUDGE and decision["action"] and decision["reason"] == "sticky")

    sticky = [i for i, stored in enumerate(world.journal()) if any(map(is_treated, orjson.loads(stored.value)["decisions"]))]
    for at in range(sticky[-1], len(world.journal())):
        rewrite(world, at, change)
    report = await checked(published, world)
    assert report.findings == {"treated_after_halt": 1}


async def test_a_treatment_by_a_log_older_than_its_staleness_bound_is_found(published: Publish, world: World) -> None:
    """The shadow's kill, at 60 s, was there to be read; a worker that had not seen it for 6 s may treat nobody."""
    late = (world.start_ms + 67_000) * 1000

    def is_late_treatment(stored: Stored) -> bool:
        body = orjson.loads(stored.value)
        treats = any(d["action"] and d["reason"] in ("assigned", "sticky") for d in body["decisions"])
        return treats and parse_us(body["latency"]["appended_ts"]) > late

    def change(body: dict[str, Any]) -> None:
        body["governance_offset"] -= 1

    rewrite(world, [at for at, stored in enumerate(world.journal()) if is_late_treatment(stored)][-1], change)
    assert (await checked(published, world)).findings == {"governance_back": 1, "stale_treated": 1}


async def test_a_record_that_is_no_link_of_the_chain_halts_nobody(published: Publish, world: World) -> None:
    forged = next(stored for stored in world.governance if SHADOW.encode() in stored.value and b'"killed"' in stored.value)
    value = forged.value.replace(SHADOW.encode(), NUDGE.encode())
    world.governance.append(forged._replace(value=value))

    def change(body: dict[str, Any]) -> None:
        body["governance_offset"] = len(world.governance) - 1

    sticky = [i for i, stored in enumerate(world.journal()) if b'"reason":"sticky"' in stored.value]
    for at in range(sticky[-1], len(world.journal())):
        rewrite(world, at, change)
    assert (await checked(published, world)).clean


@pytest.mark.parametrize("field", ["decision_id", "assignment_id"])
async def test_an_id_that_does_not_follow_from_its_inputs_is_found(published: Publish, world: World, field: str) -> None:
    def change(body: dict[str, Any]) -> None:
        decision = next(d for d in body["decisions"] if d["reason"] == "killed" or d["assigned"])
        decision[field] = "00000000-0000-5000-8000-000000000000"

    sticky = [i for i, stored in enumerate(world.journal()) if b'"reason":"late_fallback"' in stored.value]
    rewrite(world, sticky[-1], change)
    assert (await checked(published, world)).findings == {"wrong_id": 1}


@pytest.mark.parametrize(("topic", "name"), [(EXPOSURES, "exposure"), (OUTCOMES, "outcome"), (DEADLETTER, "deadletter")])
async def test_lost_doubled_and_unexplained_outputs_are_found(published: Publish, world: World, topic: str, name: str) -> None:
    records, others = world.topics[topic, 0], world.topics[topic, 1]
    stranger = others[-1]
    del records[4]
    records.insert(2, records[1])
    if topic == DEADLETTER:
        stranger = stranger._replace(value=stranger.value.replace(b'"partition":1', b'"partition":0'))
        source = orjson.loads(stranger.value)["source"]
        stranger = stranger._replace(value=stranger.value.replace(b'"offset":%d' % source["offset"], b'"offset":9999'))
    records.append(stranger)
    report = await checked(published, world)
    assert report.findings == {f"{name}_lost": 1, f"{name}_duplicated": 1, f"{name}_unexplained": 1}


async def test_a_dead_letter_of_an_ingest_is_nobody_s_business(published: Publish, world: World) -> None:
    foreign = world.topics[DEADLETTER, 0][0]
    body = orjson.loads(foreign.value) | {"source": {"topic": "file:purchases.ndjson", "partition": None, "offset": 3}}
    world.topics[DEADLETTER, 0].insert(2, foreign._replace(value=orjson.dumps(body)))
    assert (await checked(published, world)).clean


async def test_a_journal_record_that_is_none_is_found(published: Publish, world: World) -> None:
    world.topics[JOURNAL, 1].insert(3, world.topics[JOURNAL, 1][3]._replace(value=b"[]"))
    assert (await checked(published, world)).findings == {"unreadable": 1}
