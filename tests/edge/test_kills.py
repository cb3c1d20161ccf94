"""SIGKILL at any moment, of the edge, the broker or both: what got a 2xx is there, and each event counts once."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from app.stream.broker import EmbeddedBroker
from tests.edge.conftest import MakeEdge
from tests.edge.process import EdgeProcess, install, stored
from tests.edge.sender import Senders

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

TOPIC = "events.page_view"


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """To be killed: not the session's."""
    with EmbeddedBroker(tmp_path / "kafka") as broker:
        yield broker


async def in_topic(settings: Settings) -> Counter[str]:
    return Counter(record.value["event_id"] for record in await stored(settings, TOPIC))


async def everything_there(edge: EdgeProcess, senders: Senders) -> Counter[str]:
    """After the spool has drained: nothing acknowledged is missing, and nothing else is there but retried ones."""
    await asyncio.to_thread(edge.wait_until_direct, 60)
    found = await in_topic(edge.settings)
    lost = senders.acknowledged - found.keys()
    sys.stdout.write(
        f"acknowledged {len(senders.acknowledged)}, in the topic {found.total()} records of {len(found)} events, "
        f"lost {len(lost)}, answers {dict(senders.answers)}\n"
    )
    assert lost == set()
    assert found.keys() == senders.acknowledged
    return found


async def test_the_edge_is_killed_again_and_again(settings: Settings, make_edge: MakeEdge) -> None:
    edge = make_edge()
    await install(edge.settings)
    await asyncio.to_thread(edge.start)
    await asyncio.to_thread(edge.wait_until_direct)
    senders = Senders(edge.settings.edge_port)

    async def story() -> None:
        for _ in range(4):
            await senders.until(60)
            await edge.kill()
            await asyncio.to_thread(edge.start)
        await senders.until(60)

    await senders.run_while(story)
    await everything_there(edge, senders)
    assert senders.answers[0] > 0  # it was really hit


async def test_the_broker_is_killed_and_the_edge_goes_on_acknowledging(own_broker: EmbeddedBroker, make_edge: MakeEdge) -> None:
    edge = make_edge(broker=own_broker.address, edge_ack_seconds=0.5)
    await install(edge.settings)
    await asyncio.to_thread(edge.start)
    await asyncio.to_thread(edge.wait_until_direct)
    senders = Senders(edge.settings.edge_port)

    async def story() -> None:
        await senders.until(50)
        await asyncio.to_thread(own_broker.kill)
        await senders.until(100)  # by the spool alone
        await asyncio.to_thread(own_broker.start)
        await asyncio.to_thread(edge.wait_until_direct, 60)
        await senders.until(50)

    await senders.run_while(story)
    await everything_there(edge, senders)
    assert senders.answers == {200: len(senders.acknowledged)}  # nobody was turned away, no connection was lost


async def test_broker_and_edge_are_killed_and_the_edge_starts_without_a_broker(
    own_broker: EmbeddedBroker, make_edge: MakeEdge
) -> None:
    edge = make_edge(broker=own_broker.address, edge_ack_seconds=0.5, broker_wait_seconds=1)
    await install(edge.settings)
    await asyncio.to_thread(edge.start)
    await asyncio.to_thread(edge.wait_until_direct)
    senders = Senders(edge.settings.edge_port)

    async def story() -> None:
        await senders.until(50)
        await asyncio.to_thread(own_broker.kill)
        await senders.until(40)
        for _ in range(2):  # while it spools, and again while what it left waits
            await edge.kill()
            await asyncio.to_thread(edge.start)
            await senders.until(40)
        await asyncio.to_thread(own_broker.start)
        await edge.kill()  # most likely in the middle of the drain
        await asyncio.to_thread(edge.start)
        await senders.until(50)

    await senders.run_while(story)
    await everything_there(edge, senders)


async def test_a_full_spool_turns_senders_away_until_the_broker_is_back(
    own_broker: EmbeddedBroker, make_edge: MakeEdge
) -> None:
    edge = make_edge(broker=own_broker.address, edge_ack_seconds=0.5, edge_spool_bytes=1 << 16)
    await install(edge.settings)
    await asyncio.to_thread(edge.start)
    await asyncio.to_thread(edge.wait_until_direct)
    senders = Senders(edge.settings.edge_port)

    async def story() -> None:
        await senders.until(20)
        await asyncio.to_thread(own_broker.kill)
        async with asyncio.timeout(60):
            while not senders.answers[503]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert edge.status()["spool"]["bytes"] <= 1 << 16
        await asyncio.to_thread(own_broker.start)
        await senders.until(50)

    await senders.run_while(story)
    await everything_there(edge, senders)


async def test_a_hanging_broker_is_no_answer_either_and_nothing_is_counted_twice(
    own_broker: EmbeddedBroker, make_edge: MakeEdge
) -> None:
    """SIGSTOP: the broker may have taken what it did not acknowledge. Then the spool brings it a second time."""
    edge = make_edge(broker=own_broker.address, edge_ack_seconds=0.5)
    await install(edge.settings)
    await asyncio.to_thread(edge.start)
    await asyncio.to_thread(edge.wait_until_direct)
    senders = Senders(edge.settings.edge_port, connections=16)

    async def story() -> None:
        for _ in range(3):
            await senders.until(50)
            os.kill(own_broker.pid, signal.SIGSTOP)
            await senders.until(32)
            os.kill(own_broker.pid, signal.SIGCONT)
            await asyncio.to_thread(edge.wait_until_direct, 60)

    await senders.run_while(story)
    await everything_there(edge, senders)


async def test_sigterm_answers_what_is_in_hand_and_ends_with_zero(settings: Settings, make_edge: MakeEdge) -> None:
    edge = make_edge()
    await install(edge.settings)
    await asyncio.to_thread(edge.start)
    await asyncio.to_thread(edge.wait_until_direct)
    senders = Senders(edge.settings.edge_port)

    async def story() -> None:
        await senders.until(50)
        assert await edge.stop() == 0
        await asyncio.to_thread(edge.start)
        await senders.until(20)

    await senders.run_while(story)
    found = await everything_there(edge, senders)
    assert max(found.values()) == 1  # nothing was cut off, so nothing was sent again
