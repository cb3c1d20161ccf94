"""The worker's web pages: / for people, /status for health checks, /metrics for Prometheus, /stats with Faust's Monitor.

Owns: the JSON of /status: what this worker has, how far it is, how it fares. Refuses: other workers' figures.
200 while every assigned group takes records, 503 while restoring or stopped.
"""

from collections.abc import Iterator
from typing import Any

from faust.web import Request, Response, View
from faust.web.drivers.aiohttp import Web

from app.stream.face.page import html
from app.stream.families import Family, HistogramFamily, state_of, worker_families
from app.stream.task import PartitionTask
from app.stream.worker import Worker

STATS = "faust.web.apps.stats:blueprint"


class Pages(Web):
    """Faust's web server without its index, which says {"status": "OK"} whatever happens."""

    production_blueprints = ()


def add_pages(app: Any) -> None:
    """What an app adds of its own: more_status() and more_families(). Faust itself serves /stats in debug mode only."""
    app.web.blueprints.add("/stats", STATS)

    @app.page("/")  # type: ignore[untyped-decorator]
    async def index(self: View, request: Request) -> Response:
        return self.html(html(worker_status(app), app.more_status()))

    @app.page("/status")  # type: ignore[untyped-decorator]
    async def status(self: View, request: Request) -> Response:
        report = worker_status(app)
        return self.json(report, status=200 if report["healthy"] else 503)

    @app.page("/metrics")  # type: ignore[untyped-decorator]
    async def metrics(self: View, request: Request) -> Response:
        # Not at the top of the module: the client library takes 0.1 s to load, and a worker that comes back has none to spare.
        from app.stream.face.exposition import Collector, expose

        body, content_type = expose(Collector(lambda: _families(app)), request.headers.get("Accept", ""))
        return self.bytes(body, headers={"Content-Type": content_type})


def worker_status(app: Any) -> dict[str, Any]:
    """assignment, positions, lag, commits, poison, restore, former processes; and what the app adds."""
    return {**_status(app.room, app.figures.as_json()), **app.more_status()}


def _families(app: Any) -> Iterator[Family | HistogramFamily]:
    yield from worker_families(app.room, app.figures)
    yield from app.more_families()


def _status(worker: Worker | None, figures: dict[str, Any]) -> dict[str, Any]:
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
        "former_processes": {"starts": worker.history.starts, **worker.history.ends},
        "stores_set_aside": len(worker.stores_set_aside()),
        "figures": figures,
    }


def _partition(worker: Worker, task: PartitionTask) -> dict[str, Any]:
    return {
        "state": state_of(task),
        "why": task.stopped,
        "positions": dict(task.positions),
        "lag": {topic: worker.lag(topic, task.partition) for topic in task.positions},
        "backlog": task.backlog.total(),
        "filling": {"records": task.current.records, "bytes": task.current.bytes},
    }
