"""The scenes of the run, in order: a ramp step, a pause and its end, a crash, a drill, a kill.

Each begins when the feed is at its gate and the journal shows what it needs: conditions, no clock.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from app.demo.client import Client
from app.demo.feeder import Feeder, Gate
from app.demo.rules import BORING, CALM, NUDGE, NUDGE_RAMPED_PERMILLE, operate
from app.demo.tally import Tally
from app.errors import OperatorError
from app.governance import drafts
from app.settings import Settings
from app.stream.child import Child

SEEN_SECONDS = 60.0
SEEN_PAUSED = 10
RESTART_LIMIT = 3
# Exit codes of a worker after which a person must act; after any other it is started again.
FINAL_EXITS = frozenset({0, 2, 70})


@dataclass
class Stage:
    """What the scenes act on, and what they have to tell."""

    settings: Settings
    client: Client
    feeder: Feeder
    worker: Child
    say: Callable[[str], None]
    told: list[str] = field(default_factory=list)
    outage_seconds: float | None = None
    restarts: int = 0

    def tell(self, text: str) -> None:
        self.told.append(text)
        self.say(text)

    async def until(self, what: str, seen: Callable[[], bool], seconds: float = SEEN_SECONDS) -> None:
        """Waits for the journal to show it. OperatorError when it does not."""
        try:
            async with asyncio.timeout(seconds), self.client.progress:
                await self.client.progress.wait_for(seen)
        except TimeoutError as error:
            raise OperatorError(
                f"the journal did not show {what} within {seconds:.0f} s", f"See {self.worker.log_file}"
            ) from error


class Scene(NamedTuple):
    """share: of the generated feed. holds: the generated feed waits until the scene is over; the purchases never do."""

    name: str
    share: float
    act: Callable[[Stage], Awaitable[None]]
    holds: bool = True


async def ramp(stage: Stage) -> None:
    tally = stage.client.tally
    await stage.until(f"an assignment of {NUDGE}", lambda: tally.with_reason("assigned", NUDGE) > 0)
    done = await operate(stage.settings, drafts.ramp(NUDGE, NUDGE_RAMPED_PERMILLE), "arms balanced, no guardrail moved")
    stage.tell(f"ramp: {NUDGE} from 100 to {NUDGE_RAMPED_PERMILLE} permille of coverage (governance seq {done.record.seq})")


async def pause(stage: Stage) -> None:
    done = await operate(stage.settings, drafts.pause(CALM), "the banner hides a button")
    stage.tell(f"pause: {CALM} (governance seq {done.record.seq})")


async def resume(stage: Stage) -> None:
    await stage.until(f"{CALM} paused", lambda: stage.client.tally.with_reason("paused") >= SEEN_PAUSED)
    done = await operate(stage.settings, drafts.resume(CALM), "the button is back")
    stage.tell(f"resume: {CALM} (governance seq {done.record.seq})")


async def crash(stage: Stage) -> None:
    """SIGKILL with records in flight; the same static member comes back and goes on."""
    # No turn of the event loop between the two: who supervises would take it for an end of its own.
    stage.worker.process.kill()
    stage.worker.process.wait()
    killed_at, records = time.monotonic(), stage.client.tally.records
    stage.worker.start()
    # What was committed before the kill may still arrive: the first decision after it was made later than that.
    killed_us = time.time_ns() // 1_000
    await stage.until("the restarted worker", lambda: stage.client.last_decided_us > killed_us)
    stage.outage_seconds = time.monotonic() - killed_at
    back = f"decisions again after {stage.outage_seconds:.1f} s"
    stage.tell(f"crash: worker killed with SIGKILL at {records:,} journal records, {back}")


async def drill(stage: Stage) -> None:
    """The way back is tried on running users: killed, seen to be killed, resumed. Analysis leaves the window out."""
    tally = stage.client.tally
    await operate(stage.settings, drafts.drill(NUDGE, "begin"), "the way back is tried before it is needed")
    done = await operate(stage.settings, drafts.kill(NUDGE, drill=True), "drill")
    await stage.until(f"{NUDGE} killed by its drill", lambda: tally.with_reason("killed", NUDGE) > 0)
    await operate(stage.settings, drafts.resume(NUDGE), "drill")
    await operate(stage.settings, drafts.drill(NUDGE, "end"), "the kill was obeyed")
    stage.tell(f"drill: {NUDGE} killed and resumed (governance seq {done.record.seq})")


async def kill(stage: Stage) -> None:
    done = await operate(stage.settings, drafts.kill(BORING), "it annoys people")
    stage.tell(f"kill: {BORING}, for good (governance seq {done.record.seq})")


SCENES = (
    Scene("ramp", 0.15, ramp),
    Scene("pause", 0.30, pause),
    Scene("resume", 0.42, resume),
    Scene("crash", 0.50, crash, holds=False),
    Scene("drill", 0.60, drill, holds=False),
    Scene("kill", 0.70, kill),
)


async def play(stage: Stage, gates: list[tuple[Scene, Gate]]) -> None:
    for scene, gate in gates:
        await gate.reached.wait()
        if not scene.holds:
            gate.open()
        await scene.act(stage)
        gate.open()


async def watch(stage: Stage) -> None:
    """A journal that stands still for long ends the run: nothing may wait for ever on a broker or a worker that hangs."""
    while True:
        await stage.until("any further record", _grows(stage.client.tally))


def _grows(tally: Tally) -> Callable[[], bool]:
    seen = tally.records
    return lambda: tally.records > seen


async def supervise(stage: Stage) -> None:
    """Starts the worker again when it ends by itself: it is crash-only, and says by its exit code when a person must act."""
    while True:
        process = stage.worker.process
        code = await asyncio.to_thread(process.wait)
        if stage.worker.process is not process:  # a scene has ended it and started another
            continue
        if code in FINAL_EXITS or stage.restarts >= RESTART_LIMIT:
            raise stage.worker.failed(code)
        stage.restarts += 1
        stage.tell(f"the worker ended with exit code {code} and was started again")
        stage.worker.start()
