"""latency: quantiles in bounded memory, spans from journal and exposures, visibility only when followed."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaProducer

from app.contract.topics import EXPOSURES, JOURNAL
from app.latency import DECIDED, RENDER, TOTAL, VISIBLE, Line, Spread, as_json, bar, measure
from app.settings import Settings
from tests.replay.world import NUDGE, World

Publish = Callable[[World], Awaitable[Settings]]


def test_quantiles_are_exact_to_one_percent() -> None:
    draw = random.Random(3)
    values = sorted(draw.lognormvariate(3, 1) for _ in range(20_000))
    spread = Spread()
    for value in values:
        spread.add(value, 50.0)
    for share in (0.5, 0.9, 0.99):
        exact = values[int(share * len(values)) - 1]
        assert spread.quantile(share) == pytest.approx(exact, rel=0.011)
    assert spread.max_ms == values[-1]
    assert spread.within == sum(value <= 50 for value in values)


def test_the_bar_ends_at_the_budget_when_all_is_well_and_beyond_it_when_not() -> None:
    well = Line(DECIDED, "event", "page_view", 10, 15.0, 20.0, 75.0, 80.0, 150.0, 1.0)
    assert bar(well).rstrip().endswith("│")
    late = well._replace(p99_ms=300.0)
    assert bar(late).index("│") < len(bar(late)) - 1


@pytest.mark.kafka
async def test_spans_are_read_from_journal_and_exposures(published: Publish, world: World) -> None:
    lines = await measure(await published(world))
    found = {(line.span, line.by, line.name): line for line in lines}
    decided = found[DECIDED, "event", "page_view"]
    assert decided.budget_ms == 150
    assert 0 < decided.p50_ms <= decided.p90_ms <= decided.p99_ms <= decided.max_ms
    # 3 % of the decisions were made 400 ms late.
    assert decided.within_budget is not None
    assert 0.9 < decided.within_budget < 1
    assert found[RENDER, "policy", NUDGE].p50_ms == pytest.approx(12.5, rel=0.011)
    assert found[TOTAL, "event", "page_view"].records >= found[TOTAL, "policy", NUDGE].records
    assert not any(line.span == VISIBLE for line in lines)
    assert as_json(lines)["visible"].startswith("not measured")
    assert sum(len(world.topics[EXPOSURES, p]) for p in range(2)) >= found[TOTAL, "policy", NUDGE].records


@pytest.mark.kafka
async def test_visibility_is_the_arrival_while_following(published: Publish, world: World) -> None:
    settings = await published(world)
    async with AIOKafkaProducer(**settings.kafka()) as producer:
        following = asyncio.create_task(measure(settings, follow_seconds=3.0))
        stored = world.journal()[world.find("assigned")]
        while not following.done():
            await producer.send_and_wait(settings.topic(JOURNAL), stored.value, stored.key, partition=0)
            await asyncio.wait([following], timeout=0.05)
    visible = [line for line in await following if line.span == VISIBLE]
    assert {line.name for line in visible if line.by == "event"} == {"page_view"}
    # The copied record was decided an hour ago.
    assert all(line.p50_ms > 3_000_000 for line in visible)
