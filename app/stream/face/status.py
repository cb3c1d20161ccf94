"""GET /status: what this worker has, how far it is, how it fares; one JSON object, also a health check.

Owns: that page. Refuses: other workers' figures. 200 while every assigned group takes records, 503 while restoring or stopped.
"""

from typing import Any

from faust.web import Request, Response, View

STATS = "faust.web.apps.stats:blueprint"


def add_status_page(app: Any) -> None:
    """/status, and Faust's own /stats with the Monitor's figures, which it serves in debug mode only."""
    app.web.blueprints.add("/stats", STATS)

    @app.page("/status")  # type: ignore[untyped-decorator]
    async def status(self: View, request: Request) -> Response:
        # more_status: what an app adds of its own
        report = worker_status(app) | getattr(app, "more_status", dict)()
        return self.json(report, status=200 if report["healthy"] else 503)


def worker_status(app: Any) -> dict[str, Any]:
    """assignment, positions, lag, commits, poison, restore."""
    worker = app.room
    figures = app.figures.as_json()
    if worker is None:
        return {"healthy": False, "state": "starting", "partitions": {}, "figures": figures}
    partitions = {str(number): _partition(worker, task) for number, task in sorted(worker.tasks.items())}
    states = {partition["state"] for partition in partitions.values()}
    ready = worker.ready.is_set() and states <= {"processing"}
    return {
        "healthy": ready,
        "state": "processing" if ready else "restoring" if "opening" in states else "degraded",
        "app": worker.config.app_id,
        "transactional_id": worker.transactional_id,
        "partition_groups": worker.groups,
        "partitions": partitions,
        "lag": sum(lag for partition in partitions.values() for lag in partition["lag"].values() if lag),
        "figures": figures,
    }


def _partition(worker: Any, task: Any) -> dict[str, Any]:
    state = "stopped" if task.stopped else "processing" if task.active else "opening"
    return {
        "state": state,
        "why": task.stopped,
        "positions": dict(task.positions),
        "lag": {topic: worker.lag(topic, task.partition) for topic in task.positions},
        "filling": {"records": task.current.records, "bytes": task.current.bytes},
    }
