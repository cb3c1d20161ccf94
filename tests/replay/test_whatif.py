"""what-if: counts by unit under a proposed body, the same digest every time, and no record written."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from app.contract.topics import JOURNAL
from app.errors import CallerError
from app.replay.selection import Bound, Selection
from app.replay.whatif import what_if
from app.settings import Settings
from tests.replay.world import DELAY, NUDGE, PARTITIONS, World, bodies, nudge

pytestmark = pytest.mark.kafka

Publish = Callable[[World], Awaitable[Settings]]


def written(folder: Path, body: dict[str, Any]) -> Path:
    file = folder / f"{body['key']}.yaml"
    file.write_text(yaml.safe_dump(body))
    return file


def units(report: dict[str, Any], change: str) -> dict[str, int]:
    (policy,) = report["policies"]
    return {variant: group["units"] for variant, group in policy[change].items()}


def recorded_variants(world: World, policy: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for partition in range(PARTITIONS):
        for stored in world.topics[JOURNAL, partition]:
            body = orjson.loads(stored.value)
            for decision in body["decisions"]:
                if decision["policy"] == policy and decision["assigned"]:
                    found[body["unit"]] = decision["variant"]
    return found


async def test_full_coverage_only_adds_units_and_moves_nobody(published: Publish, world: World, tmp_path: Path) -> None:
    settings = await published(world)
    report = await what_if(settings, [written(tmp_path, nudge(coverage_permille=1000, ramp=[1000]))])
    (policy,) = report["policies"]
    assert units(report, "newly_assigned")
    assert units(report, "moved") == units(report, "left") == {}
    assert policy["recorded"]["assigned"] == len(recorded_variants(world, NUDGE))
    assert policy["proposed"]["assigned"] > policy["recorded"]["assigned"]
    assert policy["rule_version"] == 2
    assert report["records"] == world.journalled


async def test_the_recorded_body_changes_nothing_from_the_last_governance_record_on(
    published: Publish, world: World, tmp_path: Path
) -> None:
    """The state at the start of the range is the recorded one, so the same body at the same coverage decides the same."""
    settings = await published(world)
    start_us = (world.start_ms + 62_000) * 1000
    file = written(tmp_path, nudge())
    report = await what_if(settings, [file], Selection(start=Bound(us=start_us)), coverage_permille=1000)
    (policy,) = report["policies"]
    assert policy["units"] == policy["unchanged"] > 0


async def test_another_seed_moves_new_units_and_keeps_assigned_ones(published: Publish, world: World, tmp_path: Path) -> None:
    settings = await published(world)
    file = written(tmp_path, nudge(seed="another", coverage_permille=1000, ramp=[1000]))
    whole = await what_if(settings, [file])
    assert units(whole, "moved")
    late = await what_if(settings, [file], Selection(start=Bound(us=(world.start_ms + 80_000) * 1000)))
    before = recorded_variants(world, NUDGE)
    (policy,) = late["policies"]
    moved = {unit for group in policy["moved"].values() for unit in group["examples"]}
    assert all(unit in before for unit in moved)
    assert sum(units(late, "moved").values()) < sum(units(whole, "moved").values())


async def test_nobody_qualifies_for_a_condition_that_none_meets(published: Publish, world: World, tmp_path: Path) -> None:
    settings = await published(world)
    report = await what_if(settings, [written(tmp_path, nudge(eligibility={"context.device": "fridge"}))])
    (policy,) = report["policies"]
    assert policy["proposed"]["qualified"] == 0
    assert sum(units(report, "no_longer_qualified").values()) == policy["recorded"]["qualified"] > 0
    assert sum(units(report, "left").values()) == policy["recorded"]["assigned"]


async def test_a_delay_policy_fires_its_own_timers_on_the_recorded_ticks(
    published: Publish, world: World, tmp_path: Path
) -> None:
    settings = await published(world)
    body = next(body for body in bodies() if body["key"] == DELAY)
    report = await what_if(settings, [written(tmp_path, body | {"timing": {"delay_seconds": 7}})])
    (policy,) = report["policies"]
    assert policy["proposed"]["treated"] > 0
    never = await what_if(settings, [written(tmp_path, body | {"timing": {"delay_seconds": 3600, "expires_seconds": 7200}})])
    assert never["policies"][0]["proposed"]["treated"] == 0


async def test_the_digest_is_the_same_every_time_and_another_for_another_body(
    published: Publish, world: World, tmp_path: Path
) -> None:
    settings = await published(world)
    file = written(tmp_path, nudge(coverage_permille=1000, ramp=[1000]))
    first = await what_if(settings, [file])
    again = await what_if(settings, [file], state="disk")
    assert first == again
    # What is no part of the body is no part of the digest: comments, the order of keys.
    file.write_text("# reviewed\n" + yaml.safe_dump(dict(reversed(yaml.safe_load(file.read_text()).items())), sort_keys=False))
    assert (await what_if(settings, [file]))["digest"] == first["digest"]
    other = await what_if(settings, [written(tmp_path, nudge(owner="else", coverage_permille=1000, ramp=[1000]))])
    assert other["digest"] != first["digest"]


async def test_a_file_with_problems_is_refused_with_field_and_remedy(published: Publish, world: World, tmp_path: Path) -> None:
    settings = await published(world)
    with pytest.raises(CallerError) as caught:
        await what_if(settings, [written(tmp_path, nudge(holdout="unheard"))])
    assert "unheard" in str(caught.value)
