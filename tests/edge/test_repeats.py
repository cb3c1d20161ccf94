"""A repetition that comes out of a spool after the worker has forgotten its id is recognised all the same."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from app.chaos.journal import JournalReader
from app.chaos.worker import WorkerProcess
from app.contract.ids import event_uuid
from app.edge.drain import LATE_US
from app.edge.record import Record
from app.edge.repeats import Late, copies_in_log
from app.edge.spool import Spool
from app.settings import Settings
from app.stream.ports import kept_ports
from tests.edge.conftest import MakeEdge
from tests.edge.process import catalogue, envelope, install, stored
from tests.edge.sender import Senders

pytestmark = pytest.mark.kafka

TOPIC = "events.page_view"
HOUR_US = 3_600_000_000
WINDOW_SECONDS = 1


def now_us() -> int:
    return time.time_ns() // 1_000


async def spooled(settings: Settings, record: Record) -> None:
    """As a former process of that edge left it."""
    spool = Spool(settings.edge() / "spool", 1 << 20)
    spool.open()
    await spool.append([record])
    spool.close()


async def appended(settings: Settings) -> Record:
    """The only event that is in the log, as an edge would have spooled it."""
    (found,) = await stored(settings, TOPIC)
    assert found.key is not None
    return Record(TOPIC, found.key.encode(), orjson.dumps(found.value), found.value["event_id"], now_us())


@pytest.fixture
async def worker(make_edge: MakeEdge, tmp_path: Path) -> AsyncIterator[WorkerProcess]:
    """A real one, that knows an id for a second."""
    settings = make_edge().settings
    await install(settings, catalogue(windows={"dedup_window_seconds": WINDOW_SECONDS}))
    port = kept_ports(tmp_path / "web-ports.json", ["worker"], {})["worker"]
    worker = WorkerProcess(Settings(**settings.model_dump() | {"web_port": port}), tmp_path / "worker.log").start()
    yield worker
    worker.close()


@pytest.mark.slow
@pytest.mark.parametrize("waited_us", [2 * HOUR_US, 0], ids=["it waited for hours", "control: nobody looks"])
async def test_an_event_that_left_the_window_while_it_waited_counts_once(
    make_edge: MakeEdge, worker: WorkerProcess, waited_us: int
) -> None:
    first, second = make_edge(), make_edge()
    await asyncio.to_thread(first.start)
    await asyncio.to_thread(first.wait_until_direct)
    senders = Senders(first.settings.edge_port, connections=1)
    await senders.run_while(lambda: asyncio.sleep(0))
    async with JournalReader(worker.settings) as journal:
        statuses: list[str] = []
        journal.each(lambda entry: statuses.append(entry.body["status"]) if entry.input[0] == TOPIC else None)
        await journal.until(lambda: len(statuses) == 1, 60, "the event")
        record = await appended(first.settings)
        await asyncio.sleep(WINDOW_SECONDS + 0.5)  # what is to pass is the window itself
        await spooled(second.settings, record._replace(received_us=now_us() - waited_us))
        await asyncio.to_thread(second.start)
        await asyncio.to_thread(second.wait_until_direct)
        letters = [found.value["reason"] for found in await stored(first.settings, "deadletter")]
        if waited_us > LATE_US:
            assert letters == ["repeated_in_spool"]
            assert len(await stored(first.settings, TOPIC)) == 1
            assert statuses == ["no_match"]
        else:
            await journal.until(lambda: len(statuses) == 2, 60, "the repetition")
            assert letters == []
            assert statuses == ["no_match", "no_match"]  # counted twice: what the look into the log is there for


async def test_only_the_same_id_of_the_same_unit_and_type_is_a_copy(make_edge: MakeEdge) -> None:
    edge = make_edge()
    await install(edge.settings)
    await asyncio.to_thread(edge.start)
    await asyncio.to_thread(edge.wait_until_direct)
    senders = Senders(edge.settings.edge_port, connections=4)
    await senders.run_while(lambda: senders.until(30))
    found = await stored(edge.settings, TOPIC)
    copy = Record(TOPIC, found[7].key.encode(), b"", found[7].value["event_id"], now_us() - 2 * HOUR_US)  # type: ignore[union-attr]
    others = [
        copy._replace(event_id=str(uuid.uuid4())),
        copy._replace(key=b"u-somebody-else"),
        copy._replace(topic="events.feature_used"),
        copy._replace(topic="events.no_such_topic"),
        copy._replace(key=None),
    ]
    late = Late()
    for record in (copy, *others):
        late.add(record)
    copies = await copies_in_log(edge.settings, late, window_us=HOUR_US)
    assert list(copies.values()) == [found[7].offset]


async def test_an_sdk_id_is_compared_as_the_worker_reads_it(make_edge: MakeEdge) -> None:
    """What another producer wrote under an id that is no UUID is the same event."""
    edge = make_edge()
    await install(edge.settings)
    async with AIOKafkaProducer(**edge.settings.kafka()) as producer:
        value = orjson.dumps(envelope("order-17", "u-1", source="segment"))
        await producer.send_and_wait(edge.settings.topic(TOPIC), value, key=b"u-1")
    late = Late()
    late.add(Record(TOPIC, b"u-1", b"", event_uuid("segment", "order-17"), now_us() - HOUR_US))
    assert len(await copies_in_log(edge.settings, late, window_us=HOUR_US)) == 1
