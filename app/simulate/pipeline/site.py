"""The installation of a simulation: a broker and a worker of its own, governance, and afterwards the warehouse; in one folder.

Owns building it up and taking it down. On an existing cluster (TRUELIFT_BROKER) its topics have a prefix of their own and stay.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aiokafka import AIOKafkaProducer

from app.analysis.lift import Request, lift
from app.analysis.lift_report import LiftReport
from app.chaos.house import house_of
from app.chaos.journal import JournalReader
from app.chaos.worker import environment
from app.settings import Settings
from app.simulate.pipeline.player import Player
from app.simulate.pipeline.rules import catalogue
from app.simulate.pipeline.script import Script
from app.stream.broker import EmbeddedBroker
from app.stream.child import Child, truelift
from app.stream.ports import kept_ports
from app.warehouse.lake import opened
from app.warehouse.store import Store
from app.warehouse.sync import Sync

LINGER_MS = 5
Say = Callable[[str], None]


def through(scripts: Sequence[Script], base: Settings, say: Say) -> list[LiftReport]:
    """What `truelift lift` says of each, in the order given, when all of them have been played."""
    with tempfile.TemporaryDirectory(prefix="truelift-simulate-") as name:
        folder = Path(name)
        if base.broker is not None:
            return asyncio.run(_played(_settings(base, folder, base.broker), scripts, say))
        say("a broker starts")
        with EmbeddedBroker(folder, java_home=base.java_home) as broker:
            return asyncio.run(_played(_settings(base, folder, broker.address), scripts, say))


def _settings(base: Settings, folder: Path, address: str) -> Settings:
    prefix = "" if base.broker is None else f"{base.topic_prefix}simulate-{time.time_ns() // 1_000_000}."
    own = {
        "broker": address,
        "data_dir": folder,
        "keys_dir": folder / "keys",
        "warehouse_dir": folder / "warehouse",
        "warehouse_catalogue": None,
        "root_public_key": None,
        "actor": None,
        "topic_prefix": prefix,
        "app_id": f"{prefix}simulate",
        "web_port": kept_ports(folder / "ports.json", ("web",), {})["web"],
    }
    return base.model_copy(update=own)


async def _played(settings: Settings, scripts: Sequence[Script], say: Say) -> list[LiftReport]:
    worker = Child("worker", truelift("worker"), environment(settings), settings.data_dir / "worker.log")
    async with AsyncExitStack() as open_until_then:
        open_until_then.push_async_callback(worker.stop)
        house = await open_until_then.enter_async_context(house_of(settings, [], catalogue(scripts[0].trap)))
        worker.start()
        journal = await open_until_then.enter_async_context(JournalReader(settings))
        producer = AIOKafkaProducer(**settings.kafka(), acks="all", enable_idempotence=True, linger_ms=LINGER_MS)
        player = Player(house, journal, await open_until_then.enter_async_context(producer))
        await _unless_ended(worker, _play_all(player, scripts, say))
        if code := await worker.stop():
            raise worker.failed(code)
    say("the warehouse is synced")
    return await asyncio.to_thread(_judged, settings, [script.key for script in scripts], say)


async def _play_all(player: Player, scripts: Sequence[Script], say: Say) -> None:
    for script in scripts:
        say(f"{script.key}: {len(script.people):,} people")
        await player.play(script)


async def _unless_ended(worker: Child, playing: Awaitable[None]) -> None:
    """Nobody waits for decisions of a worker that is gone. Asked once: waiting for its end holds a thread until then."""
    play, ended = asyncio.ensure_future(playing), asyncio.ensure_future(worker.ended())
    try:
        await asyncio.wait({play, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not play.done():
            raise worker.failed(ended.result())
        await play
    finally:
        play.cancel()
        ended.cancel()


def _judged(settings: Settings, keys: Sequence[str], say: Say) -> list[LiftReport]:
    with Store.open(settings) as store:
        # Nobody writes any more, so no open transaction can bring anything from before.
        sync = Sync(settings, store, say, settling_seconds=0)
        asyncio.run(sync.run(follow=False, commit_seconds=0, stopping=asyncio.Event(), accept_loss=False))
        reports = []
        for key in keys:
            with opened(store, settings.warehouse() / "spill") as lake:
                lake.use_raw()
                reports.append(lift(lake, key, Request(), time.time_ns() // 1000))
    return reports
