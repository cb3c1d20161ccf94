"""The run: an installation with two static workers, load from two producers, `truelift scale` as its own process, and kills.

Owns when who dies. The command is killed once in each change and started again; a worker is killed while units move.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from app.chaos.house import House, house_of
from app.chaos.journal import JournalReader
from app.chaos.worker import WorkerProcess, environment
from app.checker.check import check
from app.checker.report import CheckReport
from app.governance.log import fold_all
from app.replay.report import VerifyReport
from app.replay.verify import verify
from app.settings import Settings
from app.stream.ports import kept_ports
from tests.bench.scaling.load import ScalingLoad
from tests.bench.scaling.waits import Waits, waits

COUNTS = (4, 8, 16)
STARTED_SECONDS = 180
STILL_SECONDS = 900
AT_REST_SECONDS = 300
# After governance has said that units move: somewhere between the first and the last of them.
KILL_AFTER_SECONDS = (0.2, 2.0)
POLL_SECONDS = 0.2


class Change(NamedTuple):
    """seconds: of the command in all its lives. pauses_ms: of each unit, between its departure and its arrival."""

    previous: int
    partitions: int
    seconds: float
    pauses_ms: dict[str, float]
    units_moved: int
    waits_moved: Waits
    waits_others: Waits
    waits_all: Waits
    killed: list[str]


class Result(NamedTuple):
    users: int
    acknowledged: int
    changes: list[Change]
    check: CheckReport
    verify: VerifyReport

    @property
    def clean(self) -> bool:
        return self.check.clean and self.verify.all_identical

    def as_json(self) -> dict[str, Any]:
        changes = [
            change._asdict() | {name: getattr(change, name)._asdict() for name in ("waits_moved", "waits_others", "waits_all")}
            for change in self.changes
        ]
        return {
            "users": self.users,
            "acknowledged": self.acknowledged,
            "changes": changes,
            "check": self.check.as_json(),
            "verify": self.verify.as_json(),
        }


Say = Callable[[str], None]


async def measure(
    broker: str, folder: Path, *, users: int, rate: int, warm_rate: int, counts: Sequence[int] = COUNTS, seed: int = 1, say: Say
) -> Result:
    name = f"scaling{seed}"
    settings = Settings(
        broker=broker, data_dir=folder / name, app_id=name, topic_prefix=f"{name}.", partitions=counts[0], web_port=0
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(house_of(settings))
        run = _Run(settings, folder, seed, say)
        stack.callback(run.close)
        await run.start()
        async with ScalingLoad(settings, users, seed) as load:
            say(f"{users:,} users, each with a page view at {warm_rate:,}/s")
            await load.everybody(warm_rate)
            steady = asyncio.create_task(load.steady(rate))
            changes = [await run.change(load, old, new) for old, new in pairwise(counts)]
            load.end()
            await steady
            acknowledged = load.acknowledged
        await run.at_rest(counts[-1])
        await run.stop()
        settings = settings.model_copy(update={"partitions": counts[-1]})
        say("counting everything anew, then replaying it")
        return Result(users, acknowledged, changes, await check(settings), await verify(settings))


class _Run:
    def __init__(self, settings: Settings, folder: Path, seed: int, say: Say) -> None:
        self._settings = settings
        self._folder = folder
        self._random = random.Random(seed)
        self._say = say
        ports = kept_ports(folder / "web-ports.json", ["first", "second"], {})
        self._workers = [
            WorkerProcess(
                settings.model_copy(
                    update={
                        "group_instance_id": name,
                        "data_dir": folder / name,
                        "keys_dir": settings.keys(),
                        "web_port": port,
                    }
                ),
                folder / f"{name}.log",
            )
            for name, port in ports.items()
        ]

    async def start(self) -> None:
        for worker in self._workers:
            worker.start()
        self._supervisor = asyncio.create_task(self._supervise())
        await self._until(self._all_owned(self._settings.partitions), STARTED_SECONDS, "every partition is owned")

    async def change(self, load: ScalingLoad, old: int, new: int) -> Change:
        """One change under load, with a kill of the command and one of a worker."""
        killed: list[str] = []
        async with JournalReader(self._settings.model_copy(update={"partitions": old})) as journal:
            load.acknowledges(journal)
            began = time.time()
            command = await self._command(new)
            await self._until(self._moving(new), STILL_SECONDS, f"units move to {new} partitions")
            await asyncio.sleep(self._random.uniform(*KILL_AFTER_SECONDS))  # the moment is what is tested
            command.send_signal(signal.SIGKILL)
            await command.wait()
            killed.append("truelift scale")
            command = await self._command(new)
            await asyncio.sleep(self._random.uniform(*KILL_AFTER_SECONDS))
            worker = self._random.choice(self._workers)
            worker.signal(signal.SIGKILL)
            killed.append(f"worker {worker.settings.group_instance_id}")
            async with asyncio.timeout(STILL_SECONDS):
                out, _ = await command.communicate()
        if command.returncode:
            raise AssertionError(f"truelift scale ended with {command.returncode}: {(self._folder / 'scale.log').read_text()}")
        done = json.loads(out)
        ended = time.time()
        moved, others, everybody = await waits(self._settings, new, int(began * 1e6), int(ended * 1e6))
        self._say(f"{old} to {new}: {done['counts']['arrived']:,} units moved, killed {', '.join(killed)}")
        return Change(old, new, ended - began, done["pauses_ms"], done["counts"]["arrived"], moved, others, everybody, killed)

    async def at_rest(self, partitions: int) -> None:
        """Nothing is behind any more."""
        await self._until(self._all_owned(partitions), STARTED_SECONDS, "every partition is owned")

        async def rests() -> bool:
            return sum([(await worker.status()).get("lag", 1) for worker in self._workers]) < 2 * partitions

        await self._until(rests, AT_REST_SECONDS, "nothing is behind")

    async def stop(self) -> None:
        self._supervisor.cancel()
        await asyncio.gather(self._supervisor, return_exceptions=True)
        for worker in self._workers:
            await worker.stop()

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    async def _supervise(self) -> None:
        """A worker that ends itself (a broker that does not answer in time) is started again, as in production."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for worker in self._workers:
                if not worker.running:
                    self._say(f"worker {worker.settings.group_instance_id} is dead and is started again")
                    worker.start()

    async def _command(self, partitions: int) -> asyncio.subprocess.Process:
        arguments = ("scale", "--partitions", str(partitions), "--as", "ann", "--reason", "bench", "--json")
        with (self._folder / "scale.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.bench.scaling.command", *arguments,
                env=os.environ | environment(self._settings), stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip

    def _moving(self, partitions: int) -> Callable[[], Awaitable[bool]]:
        async def moves() -> bool:
            found = (await fold_all(self._settings)).state.partitions
            return found.phase == "moving" and found.groups == partitions

        return moves

    def _all_owned(self, partitions: int) -> Callable[[], Awaitable[bool]]:
        async def owned() -> bool:
            found = [await worker.owned() for worker in self._workers]
            return set().union(*found) == set(range(partitions))

        return owned

    async def _until(self, reached: Callable[[], Awaitable[bool]], seconds: float, what: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await reached():  # noqa: ASYNC110 -- pages and topics tell nobody
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            logs = "\n".join(worker.log[-3000:] for worker in self._workers)
            raise AssertionError(f"within {seconds:g} s it was not so that {what}\n{logs}") from None


__all__ = ["COUNTS", "Change", "House", "Result", "measure"]
