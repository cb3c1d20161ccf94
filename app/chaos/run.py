"""One drill: build the site, let the storm go over it under load, wait for the journal's end, stop everything, prove."""

import asyncio
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from app.chaos.faults import Fault, faults_of
from app.chaos.plan import Plan
from app.chaos.proof import prove
from app.chaos.recovery import RECOVERY_SECONDS, expect
from app.chaos.report import Report
from app.chaos.site import Site
from app.chaos.storm import Storm
from app.errors import OperatorError
from app.settings import Settings

# Ends of processes are awaited in threads: one for each worker, broker and command.
THREADS = 64
CATCH_UP_SECONDS = 300.0

Say = Callable[[str], None]


async def drill(base: Settings, plan: Plan, say: Say) -> Report:
    """OperatorError when the site cannot be built, or gives no verdict in the end."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    async with Site(base, plan, say) as site:
        impossible = {} if site.no_disks is None else {"disk_full": site.no_disks}
        faults = [fault for fault in faults_of(list(site.cluster.brokers)) if not plan.only or fault.kind in plan.only]
        possible = [fault for fault in faults if fault.kind not in impossible]
        storm = Storm(site, possible, lambda fault, seconds: _tell(say, site, fault, seconds))
        seconds, load_seconds, catch_up_seconds = await _weather(site, storm, say)
        say("the workers have drained; check and replay verify read everything")
        return Report(
            plan=plan,
            faults=faults,
            impossible=impossible,
            happened=storm.happened,
            moves=site.moves,
            seconds=seconds,
            acknowledged=site.load.acknowledged,
            unsure=site.load.unsure,
            load_seconds=load_seconds,
            catch_up_seconds=catch_up_seconds,
            proof=await prove(site.settings, [post.disk.path for post in site.posts], site.folder),
        )


async def _weather(site: Site, storm: Storm, say: Say) -> tuple[float, float, float]:
    """(seconds of the storm, of the load, of catching up)."""
    plan, failures = site.plan, storm.happened.failures
    began = time.time()
    load = asyncio.create_task(site.load.steady(plan.rate))
    supervising = [asyncio.create_task(post.supervise(storm.ended)) for post in site.posts]
    for post in site.posts[: plan.workers]:
        post.man()
    try:
        await _begin(site, storm, began)
        say(f"{plan.workers} workers decide; {plan.rate:,} signals/s; the storm begins")
        stormy = time.monotonic()
        await storm.run()
        seconds = time.monotonic() - stormy
        site.load.end()
        await load
        load_seconds = time.time() - began
        say(f"the storm is over; {site.load.acknowledged:,} signals were acknowledged")
        catching = time.monotonic()
        await _catch_up(site, failures)
        catch_up_seconds = time.monotonic() - catching
    finally:
        for task in (load, *supervising):
            task.cancel()
    await asyncio.gather(*(_drain(site, number) for number in range(len(site.posts))))
    return seconds, load_seconds, catch_up_seconds


async def _begin(site: Site, storm: Storm, began: float) -> None:
    """Every partition decides. OperatorError when a worker cannot run at all."""
    failing = asyncio.create_task(storm.failed.wait())
    deciding = asyncio.create_task(site.progress.since(began, RECOVERY_SECONDS))
    await asyncio.wait({failing, deciding}, return_when=asyncio.FIRST_COMPLETED)
    failing.cancel()
    if not deciding.done():
        deciding.cancel()
        raise OperatorError(f"no worker runs: {storm.happened.failures[0]}", f"See the logs in {site.folder}")
    deciding.result()


async def _catch_up(site: Site, failures: list[str]) -> None:
    """A journal that does not get there is a finding; what is missing is then named by the proofs."""
    try:
        await site.progress.caught_up(site.load.ends, CATCH_UP_SECONDS)
    except OperatorError as error:
        failures.append(str(error))


async def _drain(site: Site, number: int) -> None:
    """SIGTERM may meet a worker that is only just starting again: it has nothing to drain, and ends like any process."""
    post = site.posts[number]
    if post.manned:
        expect(post, await post.leave(), 0, -signal.SIGTERM)


def _tell(say: Say, site: Site, fault: Fault, seconds: float) -> None:
    say(f"{fault.kind}: {seconds:.2f} s; {site.load.acknowledged:,} signals, {site.journal.seen:,} journal records")
