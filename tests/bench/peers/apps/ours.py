"""The counter job on Truelift's engine room, written as a Faust user writes it."""

import json
import sys
from pathlib import Path
from typing import Any

from app.stream import App, StreamSettings
from app.stream.face.run import run


def build(job: dict[str, Any]) -> App:
    settings = StreamSettings(
        kafka={"bootstrap_servers": job["broker"]},
        data_dir=Path(job["data_dir"]),
        group_instance_id=job["instance_id"],
        commit_interval_ms=job["commit_interval_ms"],
        session_timeout_seconds=job["session_timeout_seconds"],
        web_port=0,
    )
    app = App(job["app_id"], settings)
    out = app.topic(job["out"])
    counts = app.Table("counts", default=int)

    @app.agent(app.topic(job["first"], job["second"]))
    async def count(events: Any) -> None:
        async for event in events:
            user = event["user"]
            event["count"] = counts[user] = counts[user] + 1
            await out.send(key=user, value=event)

    return app


if __name__ == "__main__":
    run(build(json.loads(sys.argv[1])))
