"""The proxy on real sockets: frames pass, a trap loses or holds them, a cut is met."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.protocol.transaction import EndTxnRequest_v0

from app.chaos.proxy import Proxy
from app.chaos.traps import HeldCommit, LostAnswer
from tests.chaos.test_wire import answered, framed

COMMIT = framed(EndTxnRequest_v0("t", 1, 0, True), correlation=9)
OTHER = struct.pack(">i", 10) + struct.pack(">hhih", 1, 11, 3, -1)
OTHER_ANSWER = answered(b"fetched", correlation=3)
COMMITTED = answered(struct.pack(">ih", 0, 0), correlation=9)
ANSWERS = {COMMIT: COMMITTED, OTHER: OTHER_ANSWER}


class Client:
    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    def send(self, frame: bytes) -> None:
        self._writer.write(frame)

    async def answer(self, size: int) -> bytes:
        async with asyncio.timeout(5):
            return await self._reader.readexactly(size)

    async def is_silent(self) -> bool:
        try:
            async with asyncio.timeout(0.05):
                return not await self._reader.read(1)
        except TimeoutError:
            return True

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def between() -> AsyncIterator[tuple[Proxy, Client, list[bytes]]]:
    """A proxy, a client of it, and what the broker behind it got."""
    arrived: list[bytes] = []
    handlers: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        try:
            while True:
                size = await reader.readexactly(4)
                frame = size + await reader.readexactly(struct.unpack(">i", size)[0])
                arrived.append(frame)
                writer.write(ANSWERS[frame])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        async with Proxy() as proxy:
            proxy.target = server.sockets[0].getsockname()[:2]
            client = Client(proxy.port)
            await client.open()
            yield proxy, client, arrived
            await client.close()
        await asyncio.wait([handler for handler in handlers if handler is not None])


async def test_frames_pass_in_order_in_whatever_pieces_they_come() -> None:
    async with between() as (_, client, arrived):
        for at in range(0, len(OTHER + COMMIT), 5):
            client.send((OTHER + COMMIT)[at : at + 5])
        assert await client.answer(len(OTHER_ANSWER + COMMITTED)) == OTHER_ANSWER + COMMITTED
        assert arrived == [OTHER, COMMIT]


@pytest.mark.parametrize("fate", ["swallow", "reset"])
async def test_a_lost_answer_has_reached_the_broker_and_never_comes_back(fate: str) -> None:
    async with between() as (proxy, client, arrived):
        trap = LostAnswer(fate)  # type: ignore[arg-type]
        proxy.trap = trap
        client.send(OTHER + COMMIT)
        assert await client.answer(len(OTHER_ANSWER)) == OTHER_ANSWER
        async with asyncio.timeout(5):
            await trap.caught.wait()
        assert arrived == [OTHER, COMMIT]
        if fate == "reset":
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await client.answer(1)
        else:
            client.send(OTHER)
            assert await client.is_silent()
            assert arrived == [OTHER, COMMIT], "nothing of this connection arrives any more"


async def test_a_refused_commit_and_an_abort_are_not_what_a_lost_answer_waits_for() -> None:
    trap = LostAnswer("reset")
    async with between() as (proxy, client, _):
        proxy.trap = trap
        abort = framed(EndTxnRequest_v0("t", 1, 0, False), correlation=4)
        refused = framed(EndTxnRequest_v0("t", 2, 0, True), correlation=5)
        ANSWERS[abort] = answered(struct.pack(">ih", 0, 0), correlation=4)
        ANSWERS[refused] = answered(struct.pack(">ih", 0, 51), correlation=5)
        client.send(abort + refused)
        await client.answer(len(ANSWERS[abort] + ANSWERS[refused]))
    assert not trap.caught.is_set()


async def test_a_held_commit_arrives_when_it_is_released_and_what_followed_it_behind_it() -> None:
    async with between() as (proxy, client, arrived):
        trap = HeldCommit()
        proxy.trap = trap
        client.send(COMMIT + OTHER)
        async with asyncio.timeout(5):
            await trap.held.wait()
        assert await client.is_silent()
        assert arrived == []
        proxy.trap = None
        proxy.release()
        assert await client.answer(len(COMMITTED + OTHER_ANSWER)) == COMMITTED + OTHER_ANSWER
        assert arrived == [COMMIT, OTHER]


async def test_a_hole_swallows_and_a_reset_ends_and_both_are_counted() -> None:
    async with between() as (proxy, client, arrived):
        proxy.cut("hole")
        client.send(OTHER)
        assert await client.is_silent()
        assert (arrived, proxy.refused) == ([], 1)
        proxy.cut("reset")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answer(1)
        refused = Client(proxy.port)
        await refused.open()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await refused.answer(1)
        await refused.close()
        assert proxy.refused == 1
        proxy.heal()
        healed = Client(proxy.port)
        await healed.open()
        healed.send(OTHER)
        assert await healed.answer(len(OTHER_ANSWER)) == OTHER_ANSWER
        await healed.close()
