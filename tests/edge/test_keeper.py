"""Nothing is acknowledged that is neither in Kafka nor synced; what waited comes first and in order."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.edge.keeper import HANDOVER_BYTES, Keeper
from app.edge.refusal import RefusalError
from app.edge.spool import SEGMENT_BYTES, Spool
from tests.edge.fakes import FakeKafka, record

ACK_SECONDS = 0.2


class FakeDrain:
    """Moves like the real one, without its questions to the log."""

    def __init__(self, kafka: FakeKafka, spool: Spool) -> None:
        self._kafka = kafka
        self._spool = spool

    async def begin(self) -> None:
        await self._kafka.append([])

    async def move(self, until_bytes: int) -> int:
        moved = 0
        while self._spool.bytes > until_bytes and (segments := self._spool.segments):
            records = await self._spool.read(segments[0])
            await self._kafka.append(records)
            await self._spool.remove(segments[0])
            moved += len(records)
        return moved


@contextlib.asynccontextmanager
async def keeping(folder: Path, kafka: FakeKafka, bound_bytes: int = 1 << 26) -> AsyncIterator[tuple[Keeper, Spool]]:
    spool = Spool(folder, bound_bytes)
    spool.open()
    keeper = Keeper(kafka, spool, FakeDrain(kafka, spool), ACK_SECONDS)
    keeper.start()
    try:
        yield keeper, spool
    finally:
        await keeper.stop()
        spool.close()


async def until_direct(keeper: Keeper) -> None:
    async with asyncio.timeout(10):
        while not keeper.is_direct:  # noqa: ASYNC110 -- as /status shows it
            await asyncio.sleep(0.005)


async def test_an_event_is_in_kafka_when_keep_returns(tmp_path: Path) -> None:
    kafka = FakeKafka()
    async with keeping(tmp_path, kafka) as (keeper, spool):
        await until_direct(keeper)
        await keeper.keep([record("1"), record("2")])
        assert kafka.ids == ["1", "2"]
        assert spool.bytes == 0


async def test_requests_that_wait_at_the_same_time_share_an_append(tmp_path: Path) -> None:
    kafka = FakeKafka()
    async with keeping(tmp_path, kafka) as (keeper, _):
        await until_direct(keeper)
        appends: list[int] = []
        original = kafka.append

        async def counted(records: object) -> None:
            appends.append(len(records))  # type: ignore[arg-type]
            await original(records)  # type: ignore[arg-type]

        kafka.append = counted  # type: ignore[method-assign,assignment]
        await asyncio.gather(*(keeper.keep([record(str(number))]) for number in range(100)))
        assert sum(appends) == 100
        assert len(appends) <= 2


@pytest.mark.parametrize("how", ["refuses", "is silent"])
async def test_without_kafka_events_are_on_disk_when_keep_returns_and_in_kafka_in_order_later(tmp_path: Path, how: str) -> None:
    kafka = FakeKafka()
    async with keeping(tmp_path, kafka) as (keeper, spool):
        await until_direct(keeper)
        if how == "refuses":
            kafka.down = True
        else:
            kafka.free.clear()
        for number in range(20):
            await keeper.keep([record(str(number), 10)])
        assert spool.bytes > 0
        assert kafka.ids == []
        kafka.down = False
        kafka.free.set()
        await until_direct(keeper)
        await keeper.keep([record("20")])
        # What Kafka had taken without saying so comes twice, with one id: the worker knows it.
        assert list(dict.fromkeys(kafka.ids)) == [str(number) for number in range(21)]


async def test_a_start_finds_what_a_killed_process_left(tmp_path: Path) -> None:
    kafka = FakeKafka()
    kafka.down = True
    async with keeping(tmp_path, kafka) as (keeper, _):
        await keeper.keep([record("1")])
    kafka.down = False
    async with keeping(tmp_path, kafka) as (keeper, spool):
        await until_direct(keeper)
        assert kafka.ids == ["1"]
        assert (spool.bytes, list(spool.segments)) == (0, [])


async def test_a_full_spool_refuses_and_says_when_to_come_back(tmp_path: Path) -> None:
    kafka = FakeKafka()
    kafka.down = True
    async with keeping(tmp_path, kafka, bound_bytes=2_000) as (keeper, _):
        kept: list[str] = []

        async def keep_until_refused() -> None:
            for number in itertools.count():
                await keeper.keep([record(str(number), 100)])
                kept.append(str(number))

        with pytest.raises(RefusalError) as caught:
            await keep_until_refused()
        assert (caught.value.status, caught.value.code) == (503, "spool_full")
        assert int(caught.value.headers()["Retry-After"]) > 0
        kafka.down = False
        await until_direct(keeper)
        assert kafka.ids == kept


async def test_under_steady_load_the_way_to_kafka_opens_again(tmp_path: Path) -> None:
    """The spool is never seen empty while every round goes through it: the last of it is moved while rounds wait."""
    kafka = FakeKafka()
    kafka.down = True
    async with keeping(tmp_path, kafka) as (keeper, _):
        numbers = itertools.count()
        stopped = asyncio.Event()

        async def sender() -> None:
            while not stopped.is_set():
                await keeper.keep([record(str(next(numbers)), 500)])

        senders = [asyncio.create_task(sender()) for _ in range(8)]
        while keeper.counts["spooled"] * 500 < HANDOVER_BYTES:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        kafka.down = False
        await until_direct(keeper)
        stopped.set()
        await asyncio.gather(*senders)
        assert sorted(map(int, kafka.ids)) == list(range(next(numbers)))


async def test_a_request_that_is_given_up_takes_nothing_from_the_others(tmp_path: Path) -> None:
    kafka = FakeKafka()
    async with keeping(tmp_path, kafka) as (keeper, _):
        await until_direct(keeper)
        kafka.free.clear()
        first, second = (asyncio.create_task(keeper.keep([record(name)])) for name in "12")
        await asyncio.sleep(0)
        first.cancel()
        kafka.free.set()
        await second
        assert kafka.ids == ["1", "2"]


async def test_what_comes_while_it_stops_is_refused_and_what_waits_is_answered(tmp_path: Path) -> None:
    kafka = FakeKafka()
    async with keeping(tmp_path, kafka) as (keeper, _):
        await until_direct(keeper)
        kafka.free.clear()
        waiting = asyncio.create_task(keeper.keep([record("1")]))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(keeper.stop())
        await asyncio.sleep(0)
        with pytest.raises(RefusalError, match="about to end"):
            await keeper.keep([record("2")])
        kafka.free.set()
        await waiting
        await stopping
    assert SEGMENT_BYTES > HANDOVER_BYTES
