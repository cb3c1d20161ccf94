"""What came out, counted against what went in, by plain read_committed readers that share no code with any peer.

lost: events without an output; duplicated: outputs beyond the first; wrong: a count out of sequence, an output of another
user's event, or a row of the changelog that is not its user's number of events.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.bench.peers.job import user_of

READERS = 2
FETCH_BYTES = 4 << 20
# (key, value) of a changelog record as (user, count), None for a record that is no row
Decode = Callable[[bytes, bytes], tuple[str, int] | None]


class Verdict(NamedTuple):
    lost: int
    duplicated: int
    wrong: int

    @property
    def exact(self) -> bool:
        return self == (0, 0, 0)


class Tally:
    """Outputs as they are read, in the order of their partition."""

    def __init__(self, keys: int) -> None:
        self.keys = keys
        self.times: Counter[int] = Counter()
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.wrong = 0

    def take(self, value: bytes) -> dict[str, Any]:
        output: dict[str, Any] = orjson.loads(value)
        number, user = output["event_id"], output["user"]
        self.times[number] += 1
        self.counts[user] += 1
        self.wrong += output["count"] != self.counts[user] or user != f"u{user_of(number, self.keys)}"
        return output

    def merge(self, other: "Tally") -> None:
        self.times.update(other.times)
        for user, count in other.counts.items():
            self.counts[user] += count
        self.wrong += other.wrong

    def verdict(self, count: int, changelog: Mapping[str, int]) -> Verdict:
        """Of `count` events, and the state that they should have left."""
        lost = sum(1 for number in range(count) if number not in self.times)
        duplicated = sum(self.times.values()) - len(self.times)
        expected = Counter(f"u{user_of(number, self.keys)}" for number in range(count))
        rows = sum(1 for user in {*expected, *changelog} if expected.get(user, 0) != changelog.get(user, 0))
        return Verdict(lost, duplicated, self.wrong + rows)


async def judge(broker: str, out: str, changelog: str, partitions: int, keys: int, count: int, decode: Decode) -> Verdict:
    """The verdict over whole topics, read by READERS processes, each with partitions of its own."""
    loop = asyncio.get_running_loop()
    shares = [list(range(first, partitions, READERS)) for first in range(READERS)]
    with ProcessPoolExecutor(READERS) as pool:
        outputs = [loop.run_in_executor(pool, _read_outputs, broker, out, share, keys) for share in shares]
        states = [loop.run_in_executor(pool, _read_state, broker, changelog, share) for share in shares]
        tally = Tally(keys)
        for found in await asyncio.gather(*outputs):
            tally.merge(found)
        rows = [row for state in await asyncio.gather(*states) for row in state.items()]
    return tally.verdict(count, decoded(rows, decode))


def decoded(rows: Iterable[tuple[bytes, bytes]], decode: Decode) -> dict[str, int]:
    return dict(row for key, value in rows if (row := decode(key, value)) is not None)


async def read_state(broker: str, changelog: str, partitions: Sequence[int]) -> dict[bytes, bytes]:
    """The last value of each key, raw."""
    state: dict[bytes, bytes] = {}
    await _read(broker, changelog, partitions, lambda record: state.__setitem__(record.key, record.value))
    return state


def _read_outputs(broker: str, out: str, partitions: Sequence[int], keys: int) -> Tally:
    tally = Tally(keys)
    asyncio.run(_read(broker, out, partitions, lambda record: tally.take(record.value)))
    return tally


def _read_state(broker: str, changelog: str, partitions: Sequence[int]) -> dict[bytes, bytes]:
    return asyncio.run(read_state(broker, changelog, partitions))


async def _read(broker: str, topic: str, partitions: Sequence[int], take: Callable[[Any], object]) -> None:
    """Every committed record up to the present end."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES, fetch_max_wait_ms=20,
    )  # fmt: skip
    await consumer.start()
    try:
        tps = [TopicPartition(topic, number) for number in partitions]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(tps)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=50)).values():
                for record in records:
                    take(record)
    finally:
        await consumer.stop()
