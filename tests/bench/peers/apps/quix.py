"""The counter job on Quix Streams, exactly-once. Runs in an environment of its own (requirements/quix.txt)."""

import json
import sys
from typing import Any

from quixstreams import Application, State


def main(job: dict[str, Any]) -> None:
    session_ms = int(job["session_timeout_seconds"] * 1000)
    app = Application(
        broker_address=job["broker"],
        consumer_group=job["app_id"],
        processing_guarantee="exactly-once",
        auto_offset_reset="earliest",
        commit_interval=job["commit_interval_ms"] / 1000,
        # `concat` merges topics by time and waits this long for one that is silent.
        consumer_poll_timeout=job["poll_seconds"],
        state_dir=job["data_dir"],
        # Its default is a new id for each process: a killed one's open transaction would hold up the next.
        producer_extra_config={
            "transactional.id": job["app_id"],
            "linger.ms": job["linger_ms"],
            "transaction.timeout.ms": session_ms,
        },
        consumer_extra_config={
            "session.timeout.ms": session_ms,
            "fetch.wait.max.ms": 100,
            **({"group.instance.id": job["instance_id"]} if job["instance_id"] else {}),
        },
        auto_create_topics=True,
        loglevel="WARNING",
    )
    first = app.dataframe(app.topic(job["first"], key_deserializer="str"))
    second = app.dataframe(app.topic(job["second"], key_deserializer="str"))
    out = app.topic(job["out"], key_serializer="str")
    first.concat(second).apply(count, stateful=True).to_topic(out)
    app.run()


def count(event: dict[str, Any], state: State) -> dict[str, Any]:
    event["count"] = state.get("count", 0) + 1
    state.set("count", event["count"])
    return event


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
