"""The counter app of the tests: two inputs, one table, one output. One JSON argument configures it; a worker is a process.

A record is {"event_id", "user", "do"}. It adds one to its user's count and sends itself with the new count. `do` makes it
misbehave after that, so that what must not leak is there.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from app.stream import App, StreamSettings
from app.stream.config import MAX_REQUEST_BYTES
from app.stream.face.run import run
from app.stream.face.stream import Message
from app.stream.faults import FaultPlan

OVERSIZE_BYTES = MAX_REQUEST_BYTES + 1


class Counter:
    """options: broker, data_dir, app_id, first, second, out, ready; optional: faults, settings, web_port, poison, recovered,
    concurrency, out_partitions, ticking, hold."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.app = app = App(
            options["app_id"],
            StreamSettings(
                kafka={"bootstrap_servers": options["broker"]},
                data_dir=Path(options["data_dir"]),
                web_port=options.get("web_port", 0),
                faults=FaultPlan(**options.get("faults", {})),
                **options.get("settings", {}),
            ),
            on_poison=self.on_poison if options.get("poison") else None,
            before_assigned=self.before_assigned,
            recover_offsets=self.recover_offsets,
        )
        self.opened: set[int] = set()
        self.out = app.topic(options["out"], partitions=options.get("out_partitions"))
        self.counts = app.Table("counts", default=int)
        self.misbehaviours: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "fail": self.fail,
            "oversize": self.oversize,
            "store": self.lose_the_disk,
            "await": self.await_the_loop,
            "wait": self.wait,
        }

    async def count(self, record: dict[str, Any]) -> None:
        user = record["user"]
        count = self.counts[user] = self.counts[user] + 1
        await self.out.send(key=user, value={**record, "count": count})
        if do := record.get("do"):
            await self.misbehaviours[do](record)

    def on_poison(self, message: Message, error: Exception) -> None:
        record = json.loads(message.value or b"{}")
        if record.get("hook") == "fail":
            raise RuntimeError("the hook fails too")
        count = self.counts[record["user"]]
        self.out.send_soon(key=record["user"], value={**record, "poison": type(error).__name__, "count": count})

    async def recover_offsets(self, partition: int) -> dict[str, int]:
        return dict(self.options.get("recovered", {}).get(str(partition), {}))

    async def before_assigned(self, partitions: set[int]) -> None:
        """hold: until that file is there, what is new to a worker that has something already is not opened."""
        if self.opened and not partitions <= self.opened and "hold" in self.options:
            while not Path(self.options["hold"]).exists():  # noqa: ASYNC110 -- another process makes the file
                await asyncio.sleep(0.01)
        self.opened |= partitions

    # -- misbehaviours

    async def fail(self, record: dict[str, Any]) -> None:
        raise ValueError(f"record {record['event_id']} fails")

    async def oversize(self, record: dict[str, Any]) -> None:
        await self.out.send(key="big", value=b"x" * OVERSIZE_BYTES)

    async def lose_the_disk(self, record: dict[str, Any]) -> None:
        raise OSError("the disk is gone")

    async def await_the_loop(self, record: dict[str, Any]) -> None:
        await asyncio.sleep(0.001)

    async def wait(self, record: dict[str, Any]) -> None:
        """Until the file `until` is there: as a dependency that does not answer."""
        Path(self.options["data_dir"], "waiting").touch()
        while not Path(record["until"]).exists():  # noqa: ASYNC110 -- another process makes the file
            await asyncio.sleep(0.01)


def build(options: dict[str, Any]) -> App:
    counter = Counter(options)
    app = counter.app

    @app.agent(app.topic(options["first"]), concurrency=options.get("concurrency", 1))
    async def one(stream: Any) -> None:
        async for record in stream:
            await counter.count(record)

    @app.agent(app.topic(options["second"]))
    async def two(stream: Any) -> None:
        async for record in stream:
            await counter.count(record)

    @app.task
    async def ready() -> None:
        Path(options["ready"]).touch()

    if options.get("ticking"):

        @app.timer(0.1)
        async def tick() -> None:
            for partition in app.owned_partitions():
                await counter.out.send(
                    key="tick", value={"tick": partition, "event_id": -1, "user": "tick"}, partition=partition
                )

    @app.page("/counts")
    async def counted(self: Any, request: Any) -> Any:
        return self.json(dict(counter.counts.items()))

    return app


if __name__ == "__main__":
    run(build(json.loads(sys.argv[1])))
