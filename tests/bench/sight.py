"""What a read_committed reader of the journal sees, by partition: when each record was decided by its owner, and visible."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple, Self

import orjson

from app.contract.times import SECOND_US, parse_us
from app.settings import Settings
from tests.bench.reader import read_journal


class Seen(NamedTuple):
    """Seconds of the wall clock: the broker's append of the input, the owner's decision, this reader's sight."""

    appended: float
    decided: float
    arrived: float

    @property
    def visible_ms(self) -> float:
        return (self.arrived - self.appended) * 1000


class Sight:
    """Use as an async context manager; `seen` grows while it is open. From the journal's end on."""

    def __init__(self, settings: Settings) -> None:
        self.seen: defaultdict[int, list[Seen]] = defaultdict(list)
        self._settings = settings
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(read_journal(self._settings, self._take))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def until(self, reached: Callable[[], bool], seconds: float, what: str) -> None:
        """AssertionError that says what was waited for."""
        try:
            async with asyncio.timeout(seconds):
                while not reached():
                    if self._reading.done():
                        self._reading.result()
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{what} was not seen within {seconds:g} s") from None

    async def decided_since(self, moment: float, partitions: Iterable[int], seconds: float) -> None:
        """Until each of `partitions` has a record that was decided after that moment."""
        waiting = set(partitions)

        def reached() -> bool:
            waiting.difference_update([p for p in waiting if self.seen[p] and self.seen[p][-1].decided > moment])
            return not waiting

        await self.until(reached, seconds, f"a decision in each of the partitions {sorted(waiting)}")

    def visible_ms(self, began: float, ended: float, partitions: Iterable[int]) -> list[float]:
        """In order, of the inputs that were appended meanwhile."""
        return sorted(seen.visible_ms for p in partitions for seen in self.seen[p] if began <= seen.appended < ended)

    def pause_seconds(self, began: float, ended: float, partition: int) -> float:
        """The longest time within which the partition's owner decided nothing, of those that touch [began, ended)."""
        moments = [seen.decided for seen in self.seen[partition]]
        return max((b - a for a, b in pairwise(moments) if b > began and a < ended), default=ended - began)

    def _take(self, values: list[bytes], arrived: float) -> bool:
        for value in values:
            body = orjson.loads(value)
            latency = body["latency"]
            times = (parse_us(latency[name]) / SECOND_US for name in ("appended_ts", "decided_ts"))
            self.seen[body["input"]["partition"]].append(Seen(*times, arrived))
        self._news.set()
        return False
