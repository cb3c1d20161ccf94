"""A broker that is slow, not gone: nothing grows, and nobody is fenced for it."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from app.stream.broker import EmbeddedBroker
from app.stream.broker_config import Listener
from app.stream.metrics import Metrics
from app.stream.ports import kept_ports
from app.stream.restore import STUCK_SECONDS, Restore
from tables.store import Store
from tests.stream.counting import PARTITIONS, Run, counter_run
from tests.stream.slow_line import SlowLine
from tests.stream.test_metrics import samples, scrape
from tests.stream.test_status import free_port

pytestmark = pytest.mark.kafka

LINE = "LINE"
RECORDS = 16_000
UP_BYTES_PER_SECOND = 100_000
# An epoch is full at 500 records; a slice that has begun is finished, in each partition group.
BOUND = {"max_epoch_records": 500}
HELD_AT_MOST = 2 * (500 + PARTITIONS * 1024)
NO_BOUND = {"max_epoch_records": 1 << 40, "max_epoch_bytes": 1 << 50}

MakeLine = Callable[..., SlowLine]


@pytest.fixture(scope="module")
def slow_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedBroker, int]]:
    """A broker, and the port of the line that its second listener sends clients to."""
    folder = tmp_path_factory.mktemp("slow")
    port = kept_ports(folder / "line.json", ["line"], {})["line"]
    with EmbeddedBroker(folder, listeners=(Listener(LINE, f"127.0.0.1:{port}"),)) as broker:
        yield broker, port


@pytest.fixture
def make_line(slow_broker: tuple[EmbeddedBroker, int]) -> MakeLine:
    broker, port = slow_broker
    return lambda **limits: SlowLine(port, broker.listener_address(LINE), **limits)


async def held(port: int) -> dict[str, float]:
    """{figure: its sum over partition groups}; {} while nobody answers."""
    try:
        found = samples(await asyncio.to_thread(scrape, port))
    except OSError:
        return {}
    return {
        wanted: sum(value for (name, _), value in found.items() if name == wanted)
        for wanted in ("truelift_epoch_records", "truelift_backlog_records", "truelift_commits_total")
    }


@pytest.mark.parametrize("settings", [BOUND, NO_BOUND], ids=["bounded", "the negative control: no bound"])
async def test_a_slow_broker_slows_the_worker_down_and_what_it_holds_stays_bounded(
    settings: dict[str, int], slow_broker: tuple[EmbeddedBroker, int], make_line: MakeLine, tmp_path: Path
) -> None:
    broker, port = slow_broker
    web_port = free_port()
    async with (
        counter_run(broker.address, f"slow-{uuid.uuid4().hex[:8]}", tmp_path) as run,
        make_line(up=UP_BYTES_PER_SECOND) as line,
    ):
        await run.produce(RECORDS)
        worker = run.start(broker=f"127.0.0.1:{port}", web_port=web_port, settings=settings)
        most = 0.0
        seen: dict[str, float] = {}
        # As long as it takes for several commits through the line, or for the worker to have everything in hand.
        async with asyncio.timeout(60):
            while seen.get("truelift_commits_total", 0) < 8 and most <= HELD_AT_MOST:
                seen = await held(web_port)
                most = max(most, seen.get("truelift_epoch_records", 0))
        if settings is NO_BOUND:
            assert most > HELD_AT_MOST
            return
        assert most <= HELD_AT_MOST
        assert len(run.seen) < RECORDS, "the line was no narrower than the worker"
        line.heal()
        assert (await run.final()).exact
        assert await run.drain(worker) == 0


async def test_a_restore_over_a_narrow_line_fences_nobody_and_one_behind_an_open_transaction_does(
    slow_broker: tuple[EmbeddedBroker, int], make_line: MakeLine, tmp_path: Path
) -> None:
    broker, port = slow_broker
    changelog = f"changelog-{uuid.uuid4().hex[:8]}"
    run = Run(broker.address, "unused", tmp_path)
    await run.create_topic(changelog, 1)
    rows = 2_000
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, transactional_id=changelog)
    await producer.start()
    async with producer.transaction():
        for number in range(rows):
            await producer.send(changelog, key=b"%d" % number, value=bytes(100), partition=0)

    # 230 kB at 60 kB/s: each answer is on its way for longer than STUCK_SECONDS, and nothing arrives meanwhile.
    async with make_line(down=60_000):
        assert await restored(tmp_path / "narrow", f"127.0.0.1:{port}", changelog) == (rows, 0)

    await producer.begin_transaction()
    await producer.send_and_wait(changelog, key=b"open", value=b"1", partition=0)
    assert await restored(tmp_path / "behind", broker.address, changelog, producer.abort_transaction) == (rows, 1)
    await producer.stop()


async def restored(folder: Path, address: str, changelog: str, fence: Any = None) -> tuple[int, int]:
    """(rows, how often the restore took a transaction for one that is in its way)"""
    stuck = 0

    async def when_stuck() -> None:
        nonlocal stuck
        stuck += 1
        if fence is not None:
            await fence()

    store = Store(folder / "counts-0.db")
    began = asyncio.get_running_loop().time()
    kafka = {"bootstrap_servers": address}
    rows = await Restore(kafka, {TopicPartition(changelog, 0): store}, Metrics(), when_stuck).run()
    assert asyncio.get_running_loop().time() - began > STUCK_SECONDS
    store.close()
    return rows, stuck
