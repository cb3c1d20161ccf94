"""One run: an installation, its rules, a worker, two feeds, a client and the scenes, until the journal has caught up."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.contract.topics import TICKS
from app.demo.audit import audit
from app.demo.client import Client
from app.demo.expectations import Facts
from app.demo.feeder import Feeder
from app.demo.installation import Installation
from app.demo.pace import Brake, Pace
from app.demo.plan import Plan
from app.demo.purchases import Purchases
from app.demo.rules import BORING, catalogue, establish, policies
from app.demo.sessions import plan_sessions
from app.demo.story import SCENES, Stage, play, supervise, watch
from app.demo.tally import Tally
from app.errors import OperatorError
from app.settings import Settings
from app.stream.child import Child, truelift

WORKER_READY_SECONDS = 60.0
READY_POLL_SECONDS = 0.05
CAUGHT_UP_SECONDS = 180.0
SEEN_KILLED = 10


async def run(plan: Plan, there: Installation, say: Callable[[str], None]) -> Facts:
    started = time.monotonic()
    settings, known = there.settings, catalogue()
    await there.create_topics(known.event_types, known.bounds.max_record_bytes)
    say(f"{await establish(settings)} policies proposed, approved by a second person, and in force")
    sessions = list(plan_sessions(plan.seed, plan.users))
    feeder = Feeder(settings, sessions)
    purchases = Purchases(there, plan)
    client = Client(settings, policies(), Tally())
    worker = Child("worker", truelift("worker"), there.environment(), there.log("worker"))
    stage = Stage(settings, client, feeder, worker, say)
    async with AsyncExitStack() as ending:
        for child in (worker, purchases):
            ending.push_async_callback(child.stop)
        worker.start()
        await _ready(settings, worker)
        say(f"worker ready; {plan.real_signals:,} real and {feeder.records:,} generated signals at {plan.rate:,.0f}/s")
        await _feed(stage, purchases, plan)
        worker_exit = await worker.stop()
    say("counting and replaying everything, from the topics alone")
    found = await audit(settings, client.latencies, there.log("audit"))
    return Facts(
        plan=plan,
        real=purchases.accepted,
        generated=feeder.sent,
        acknowledged=client.sent,
        behaved={str(kind): count for kind, count in client.behaved.items()},
        faults=feeder.rejections,
        tally=client.tally,
        latency=client.latencies.lines(),
        told=stage.told,
        outage_seconds=stage.outage_seconds,
        worker_exit=worker_exit,
        check=found.check,
        replay=found.replay,
        seconds=time.monotonic() - started,
    )


async def _ready(settings: Settings, worker: Child) -> None:
    """A worker that owns its partitions appends a tick to each every second."""
    ticks = [TopicPartition(settings.topic(TICKS), partition) for partition in range(settings.partitions)]
    async with AIOKafkaConsumer(**settings.kafka()) as consumer:
        try:
            async with asyncio.timeout(WORKER_READY_SECONDS):
                while not all((await consumer.end_offsets(ticks)).values()):
                    if (code := worker.process.poll()) is not None:
                        raise worker.failed(code)
                    await asyncio.sleep(READY_POLL_SECONDS)
        except TimeoutError as error:
            raise OperatorError(
                f"the worker is not ready after {WORKER_READY_SECONDS:.0f} s", f"See {worker.log_file}"
            ) from error


async def _feed(stage: Stage, purchases: Purchases, plan: Plan) -> None:
    gates = [(scene, stage.feeder.gate(scene.share)) for scene in SCENES if scene.name not in plan.skip]
    client, feeder, tally = stage.client, stage.feeder, stage.client.tally

    def waiting() -> int:
        return purchases.sent + feeder.sent + client.sent - tally.inputs_done

    brake = Brake(plan.rate, waiting, client.progress)
    real, generated = (Pace(rate, brake) for rate in plan.shares(feeder.records))
    async with asyncio.TaskGroup() as standing:
        reading = standing.create_task(client.run())
        watching = [standing.create_task(work) for work in (supervise(stage), watch(stage))]
        async with asyncio.TaskGroup() as feeds:
            for work in (purchases.run(real), feeder.run(generated), play(stage, gates)):
                feeds.create_task(work)
        if brake.holds:
            times = f"{brake.holds} time{'s' if brake.holds > 1 else ''}"
            stage.tell(
                f"pace: the feeds waited {times} for the journal; {plan.rate:,.0f}/s at first, {brake.rate:,.0f}/s at the end"
            )
        stage.say("both feeds are through; the worker catches up, the last timers fire")
        if "kill" not in plan.skip:
            await stage.until(f"{BORING} killed", lambda: tally.with_reason("killed", BORING) >= SEEN_KILLED, CAUGHT_UP_SECONDS)
        await stage.until(
            "a record for every signal, acknowledgement and timer",
            lambda: tally.inputs_done >= purchases.accepted + feeder.sent + client.sent and tally.timers_waiting <= 0,
            CAUGHT_UP_SECONDS,
        )
        for task in (*watching, reading):
            task.cancel()
