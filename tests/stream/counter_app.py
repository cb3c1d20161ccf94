"""The counter app of the tests: two inputs, one table, one output. Configured by one JSON argument, so that each worker is a process."""

import json
import sys
from pathlib import Path
from typing import Any

from app.stream import App, StreamSettings
from app.stream.faults import FaultPlan
from app.stream.face.run import run

HERE = "tests.stream.counter_app"


def build(options: dict[str, Any]) -> App:
    settings = StreamSettings(
        kafka={"bootstrap_servers": options["broker"]},
        data_dir=Path(options["data_dir"]),
        web_port=options.get("web_port", 0),
        faults=FaultPlan(**options.get("faults", {})),
        **options.get("settings", {}),
    )
    app = App(options["app_id"], settings)
    first = app.topic(options["first"], value_type=bytes)
    second = app.topic(options["second"], value_type=bytes)
    out = app.topic(options["out"], value_type=bytes)
    counts = app.Table("counts", default=int)

    def count(event: Any) -> None:
        record = json.loads(event.value)
        user = record["user"]
        counts[user] = counts[user] + 1
        out.send_soon(key=user, value={**record, "count": counts[user]}, partition=event.message.partition)

    @app.agent(first)
    async def one(stream: Any) -> None:
        async for event in stream.events():
            count(event)

    @app.agent(second)
    async def two(stream: Any) -> None:
        async for event in stream.events():
            count(event)

    return app


if __name__ == "__main__":
    run(build(json.loads(sys.argv[1])))
