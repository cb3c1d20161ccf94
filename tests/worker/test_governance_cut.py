"""A broken connection to the governance log: a kill cannot be outrun by it, and nothing else suffers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from app.chaos.proxy import Cut, Proxy
from app.governance import drafts
from app.settings import Settings
from app.stream.broker import EmbeddedBroker
from app.stream.broker_config import Listener
from tests.worker.audit import audit
from tests.worker.conftest import MakeWorker
from tests.worker.house import house_of
from tests.worker.journal import Entry, Journal
from tests.worker.policies import NUDGE
from tests.worker.traffic import Traffic

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

GOVERNANCE = "GOVERNANCE"
RATE = 100
# catalogue bounds.governance_max_stale_seconds is 5; what was decided before the cut may be journalled a little later.
TREATED_SECONDS = 6.0
HEALED_SECONDS = 15.0


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with Proxy() as proxy:
        yield proxy


@pytest.fixture
async def cut_settings(
    proxy: Proxy, make_settings: Callable[..., Settings], tmp_path: Path
) -> AsyncIterator[dict[str, object]]:
    """A broker of its own whose second listener is advertised as the proxy: only governance goes through it."""
    broker = EmbeddedBroker(tmp_path / "kafka", listeners=(Listener(GOVERNANCE, proxy.address),))
    await asyncio.to_thread(broker.start)
    host, port = broker.listener_address(GOVERNANCE).split(":")
    proxy.target = (host, int(port))
    yield {"broker": broker.address, "partitions": 2}
    await asyncio.to_thread(broker.stop)


@pytest.mark.parametrize("mode", ["reset", "hole"])
async def test_nobody_is_treated_6_seconds_after_the_governance_connection_broke_and_decisions_resume_when_it_heals(
    mode: Cut, proxy: Proxy, cut_settings: dict[str, object], make_settings: Callable[..., Settings], make_worker: MakeWorker
) -> None:
    settings = make_settings(**cut_settings)
    async with house_of(settings) as house, Journal(settings) as journal, Traffic(settings, 8, journal=journal) as traffic:
        worker = make_worker(**cut_settings, governance_broker=proxy.address).start()
        load = asyncio.create_task(traffic.steady(RATE))
        await journal.until(lambda: treated_since(journal, 0) >= 20, 30, "treated records")

        proxy.cut(mode)
        cut_at = time.time()
        # Written while the worker cannot see it: what the bound is for.
        kill = await house.write(drafts.kill(NUDGE))
        await journal.until(lambda: since(journal, cut_at + TREATED_SECONDS + 2) > RATE, 30, "records after the bound")
        assert treated_since(journal, cut_at + TREATED_SECONDS) == 0
        late = [entry for entry in journal.entries if entry.decided_at > cut_at + TREATED_SECONDS]
        assert all(entry.body["governance_stale"] for entry in late)
        assert {"governance_stale"} <= {reason for entry in late for reason in entry.reasons()}

        proxy.heal()
        healed_at = time.time()
        await journal.until(lambda: treated_since(journal, healed_at) >= 20, HEALED_SECONDS, "decisions after the healing")
        after = [entry for entry in journal.entries if entry.body["governance_offset"] >= kill.offset]
        assert after
        assert not any(NUDGE in treats(entry) for entry in after)

        traffic.end()
        await load
        await journal.until_has(traffic.sent)
        assert worker.running
        assert await worker.stop() == 0
        found = await audit(settings, journal, traffic.sent, [worker.directory])
    assert found.clean, f"{found}\n{worker.log}"


def since(journal: Journal, moment: float) -> int:
    return sum(entry.decided_at > moment for entry in journal.entries)


def treated_since(journal: Journal, moment: float) -> int:
    return sum(entry.treats() and entry.decided_at > moment for entry in journal.entries)


def treats(entry: Entry) -> set[str]:
    """The policies that treat in this record."""
    return {
        decision["policy"]
        for decision in entry.body["decisions"]
        if decision["action"] is not None and decision["reason"] in ("assigned", "sticky")
    }
