"""The counter app of the tests: two inputs, one table, one output. One JSON argument configures it; a worker is a process."""

import json
import sys
from pathlib import Path
from typing import Any

from app.stream import App, StreamSettings
from app.stream.face.run import run
from app.stream.faults import FaultPlan

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
    first = app.topic(options["first"])
    second = app.topic(options["second"])
    out = app.topic(options["out"])
    counts = app.Table("counts", default=int)

    @app.agent(first)
    async def one(stream: Any) -> None:
        async for record in stream:
            user = record["user"]
            count = counts[user] = counts[user] + 1
            await out.send(key=user, value={**record, "count": count})

    @app.agent(second)
    async def two(stream: Any) -> None:
        async for record in stream:
            user = record["user"]
            count = counts[user] = counts[user] + 1
            await out.send(key=user, value={**record, "count": count})

    return app


if __name__ == "__main__":
    run(build(json.loads(sys.argv[1])))
