"""What a run does, cell by cell, and how large each is. Within a case all peers follow each other, so that what else the
machine does hits them alike; `rounds` repeats that."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError

from tests.bench.peers import latency, recovery, throughput
from tests.bench.peers.cell import Cell, cell
from tests.bench.peers.figures import Figures
from tests.bench.peers.load import Inputs, delete_topics
from tests.bench.peers.peers import Launch, Peer

KEYS = (1_000, 100_000)
LATENCY_KEYS = 1_000
PARTITIONS = 4


class Size(NamedTuple):
    """The lengths of a run; QUICK shows that everything works, its figures are no figures."""

    cold_events: int = throughput.COLD_EVENTS
    warm_events: int = throughput.WARM_EVENTS
    slow_events: int = 20_000  # of a peer that would take the whole day
    latency_seconds: float = latency.SECONDS
    warm_up_seconds: float = latency.WARM_UP_SECONDS
    kills: int = recovery.ROUNDS
    rounds: int = 1


QUICK = Size(20_000, 60_000, 4_000, 3.0, 2.0, 1)


class Run:
    """Every cell of the columns asked for; `failed` has what could not be measured."""

    def __init__(
        self, broker: str, folder: Path, peers: Mapping[Peer, Launch], size: Size, told: Callable[[str], None]
    ) -> None:
        self.figures = Figures({})
        self.failed: dict[str, str] = {}
        self._broker = broker
        self._folder = folder
        self._peers = peers
        self._size = size
        self._told = told
        self._inputs = 0

    async def throughput(self) -> None:
        size = self._size
        for keys in KEYS:
            async with self._new_inputs(keys, PARTITIONS) as inputs, self._new_inputs(keys, PARTITIONS) as few:
                await inputs.preload(size.cold_events + size.warm_events)
                await few.preload(size.slow_events)
                for peer in self._each("throughput"):
                    source = few if peer.slow else inputs

                    async def measure(made: Cell, count: int = source.count) -> throughput.Result:
                        return await throughput.measure(made, count, min(count, size.cold_events))

                    await self._cell("throughput", f"{keys} keys", peer, source, measure)

    async def latency(self) -> None:
        for partitions in latency.PARTITIONS:
            for peer in self._each("latency"):
                async with self._new_inputs(LATENCY_KEYS, partitions) as inputs:
                    await self._cell(
                        "latency", f"{partitions} partitions", peer, inputs,
                        lambda made: latency.measure(made, self._size.latency_seconds, self._size.warm_up_seconds),
                    )  # fmt: skip

    async def recovery(self) -> None:
        for peer in self._each("recovery"):
            async with self._new_inputs(LATENCY_KEYS, PARTITIONS) as inputs:
                await self._cell(
                    "recovery", "SIGKILL", peer, inputs, lambda made: recovery.measure(made, self._size.kills)
                )  # fmt: skip

    async def columns(self, names: Sequence[str]) -> None:
        for name in names:
            await getattr(self, name)()

    def _each(self, column: str) -> list[Peer]:
        return [peer for _ in range(self._size.rounds) for peer in self._peers if column in peer.columns]

    async def _cell(self, column: str, case: str, peer: Peer, inputs: Inputs, measure: Callable[[Cell], Any]) -> None:
        async with cell(peer, self._peers[peer], column, inputs, self._folder) as made:
            try:
                result = (await measure(made)).as_json()
            except (RuntimeError, TimeoutError, KafkaError) as error:
                self.failed[f"{peer.name}, {column}, {case}"] = str(error)
                self._told(f"{column}, {case}, {peer.label}: FAILED: {error}")
                return
        self.figures.add(column, case, peer.name, result)
        self._told(f"{column}, {case}, {peer.label}: {result}")

    @asynccontextmanager
    async def _new_inputs(self, keys: int, partitions: int) -> AsyncIterator[Inputs]:
        self._inputs += 1
        inputs = Inputs(self._broker, f"in{self._inputs}", keys, partitions)
        await inputs.create()
        try:
            yield inputs
        finally:
            await delete_topics(self._broker, f"in{self._inputs}.")
