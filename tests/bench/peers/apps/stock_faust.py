"""The counter job on stock faust-streaming, processing_guarantee exactly_once. Runs in an environment of its own."""

import json
import sys
from typing import Any

import faust
import mode.loop


def build(job: dict[str, Any]) -> faust.App:
    session_seconds = job["session_timeout_seconds"]
    app = faust.App(
        job["app_id"],
        broker=f"kafka://{job['broker']}",
        store="rocksdb://",
        processing_guarantee="exactly_once",
        topic_partitions=job["partitions"],
        broker_commit_interval=job["commit_interval_ms"] / 1000,
        broker_session_timeout=session_seconds,
        broker_heartbeat_interval=session_seconds / 6,
        broker_rebalance_timeout=15.0,
        consumer_group_instance_id=job["instance_id"],
        value_serializer="json",
        datadir=job["data_dir"],
        web_enabled=False,
        autodiscover=False,
    )
    out = app.topic(job["out"], key_type=str, key_serializer="raw")
    counts = app.Table("counts", default=int, partitions=job["partitions"], options={"driver": "rocksdict"})

    @app.agent(app.topic(job["first"], job["second"], key_type=str, key_serializer="raw"))
    async def count(events: Any) -> None:
        async for event in events:
            user = event["user"]
            event["count"] = counts[user] = counts[user] + 1
            await out.send(key=user, value=event)

    return app


if __name__ == "__main__":
    mode.loop.use("uvloop")
    app = build(json.loads(sys.argv[1]))
    sys.argv[1:] = ["worker", "--loglevel=warn", "--without-web"]
    app.main()
