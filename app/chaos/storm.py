"""The storm: lanes of faults that go on side by side, each with its rarest kind next and chance among those, until time is up.

Owns what happened: counts, times, ends of workers that no fault had asked for. Refuses to go on past a fault that nothing
recovered from: that is the finding.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, get_args

from app.chaos.faults import Fault, Lane
from app.chaos.post import Post
from app.chaos.recovery import UnexpectedEndError, expect
from app.chaos.site import NobodyError, Site
from app.errors import OperatorError

# A lane whose kinds are all impossible for now, or all of whose workers are taken, looks again after this time.
AGAIN_SECONDS = 0.1
# Before a lane's next fault so many seconds' worth of signals are acknowledged. Brokers: most faults are to meet a whole
# cluster. Records: they recover within milliseconds, and more poison than the catalogue's limit would rightly stop a partition.
APART_SECONDS: dict[Lane, float] = {"workers": 0.0, "brokers": 8.0, "records": 4.0}
SHOWN_ENDS = 20


class End(NamedTuple):
    """A worker that ended though its fault did not ask for it, or there was none. It was started again."""

    post: str
    code: int
    words: str


@dataclass
class Happened:
    """seconds: by kind, until the work went on. missed: tried, and did not come about. ends: by exit code; some with words."""

    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    missed: Counter[str] = field(default_factory=Counter)
    ends: Counter[int] = field(default_factory=Counter)
    shown_ends: list[End] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return sum(map(len, self.seconds.values()))


class Storm:
    """run() returns when the plan's time is over and every fault has ended, or at the first that nothing recovered from."""

    def __init__(self, site: Site, faults: Sequence[Fault], seen: Callable[[Fault, float], None]) -> None:
        """seen: told of each fault that came about."""
        self.happened = Happened()
        self._site = site
        self._faults = faults
        self._seen = seen
        self.failed = asyncio.Event()
        self._over = asyncio.Event()

    async def run(self) -> None:
        lanes = [asyncio.create_task(self._lane(lane)) for lane in get_args(Lane)]
        timer = asyncio.get_running_loop().call_later(self._site.plan.minutes * 60, self._over.set)
        try:
            await asyncio.gather(*lanes)
        finally:
            timer.cancel()
            for lane in lanes:
                lane.cancel()

    def ended(self, post: Post, code: int) -> None:
        """Of a worker that no fault had claimed, or only to make it suffer."""
        self.happened.ends[code] += 1
        if len(self.happened.shown_ends) < SHOWN_ENDS:
            self.happened.shown_ends.append(End(post.name, code, post.last_words))
        try:
            expect(post, code, *post.excused)
        except UnexpectedEndError as error:
            self._fail(str(error))

    async def _lane(self, lane: Lane) -> None:
        kinds = [fault for fault in self._faults if fault.lane == lane]
        while kinds and not self._over.is_set():
            self._site.plan.chance.shuffle(kinds)
            kinds.sort(key=self._tried)
            for fault in kinds:
                if await self._inject(fault):
                    break
            else:
                await asyncio.sleep(AGAIN_SECONDS)
            await self._apart(APART_SECONDS[lane])

    def _tried(self, fault: Fault) -> int:
        return len(self.happened.seconds[fault.kind]) + self.happened.missed[fault.kind]

    async def _apart(self, seconds: float) -> None:
        load = self._site.load
        wanted = load.acknowledged + self._site.plan.rate * seconds
        while load.acknowledged < wanted and not self._over.is_set():  # noqa: ASYNC110 -- a count that nobody waits for else
            await asyncio.sleep(AGAIN_SECONDS)

    async def _inject(self, fault: Fault) -> bool:
        """Whether it was tried."""
        if not fault.possible(self._site):
            return False
        try:
            seconds = await fault.inject(self._site)
        except NobodyError:
            return False
        except (OperatorError, UnexpectedEndError) as error:
            self._fail(f"{fault.kind}: {error}")
            return True
        if seconds is None:
            self.happened.missed[fault.kind] += 1
        else:
            self.happened.seconds[fault.kind].append(seconds)
            self._seen(fault, seconds)
            if self._site.plan.stop_when_enough and self._enough():
                self._over.set()
        return True

    def _enough(self) -> bool:
        least = self._site.plan.least_each
        return all(len(self.happened.seconds[fault.kind]) >= least for fault in self._faults)

    def _fail(self, what: str) -> None:
        moment = time.strftime("%H:%M:%S")
        self.happened.failures.append(f"{moment} {what}")
        self._over.set()
        self.failed.set()
