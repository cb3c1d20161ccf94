"""The composition root of an edge: spool, appender, keeper, catalogue and routes put together into one ASGI application."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.contract.topics import DEADLETTER, DECISION_DELIVERY, EXPERIMENT_EXPOSURE, IDENTIFY, event_topic
from app.edge.appender import Appender
from app.edge.collectors.amplitude import AMPLITUDE
from app.edge.collectors.dialect import Dialect, json_response
from app.edge.collectors.flow import Collector
from app.edge.collectors.native import EVENTS
from app.edge.collectors.segment import SEGMENT
from app.edge.collectors.snowplow import SNOWPLOW
from app.edge.decide import Decider
from app.edge.decisions import Decisions
from app.edge.deliveries import Deliveries
from app.edge.drain import SpoolDrain
from app.edge.edge import Edge
from app.edge.feed import Feed
from app.edge.guards import Guards
from app.edge.keeper import Keeper
from app.edge.limits import Rates
from app.edge.ofrep.endpoints import Ofrep
from app.edge.openapi import document
from app.edge.paths import Endpoint, Paths
from app.edge.pushed import Pushed
from app.edge.replies import Replies
from app.edge.spool import Spool
from app.edge.static import static_table
from app.edge.tokens import TokenKeys
from app.edge.view import CatalogueView
from app.settings import Settings

DIALECTS: tuple[Dialect, ...] = (EVENTS, SEGMENT, SNOWPLOW, AMPLITUDE)
SERVICE_TOPICS = (IDENTIFY, EXPERIMENT_EXPOSURE, DECISION_DELIVERY, DEADLETTER)


class EdgeApplication:
    """`asgi` is served between `start` and `stop`."""

    def __init__(self, settings: Settings) -> None:
        self._catalogue = CatalogueView(settings)
        self._spool = Spool(settings.edge() / "spool", settings.edge_spool_bytes)
        self._kafka = Appender(settings)
        drain = SpoolDrain(settings, self._kafka, self._spool, lambda: self._catalogue.rules, self._topics)
        self.keeper = Keeper(self._kafka, self._spool, drain, settings.edge_ack_seconds)
        self._tokens = TokenKeys(settings.tokens())
        self._replies = Replies(settings)
        self._deliveries = Deliveries(self.keeper)
        self._feed = Feed(settings)
        rates = Rates()
        decider = Decider(
            lambda: self._catalogue.rules, self.keeper, self._replies, self._deliveries, self._tokens, rates,
            settings.edge_decide_margin_ms,
        )  # fmt: skip
        self._edge = Edge(
            self.keeper, lambda: self._catalogue.rules, settings.edge_body_seconds, decider, self._tokens, rates, self._feed
        )
        table = self._table()
        routes = [Route(path, endpoint, methods=[method]) for (method, path), endpoint in table.items()]
        self.asgi: ASGIApp = Guards(Paths(table, Starlette(routes=routes)), settings.origins())

    async def start(self) -> None:
        """OperatorError for anything that a person must mend."""
        self._tokens.open()
        self._spool.open()
        await self._catalogue.start()
        self.keeper.start()
        self._deliveries.start()
        self._replies.start()
        self._feed.start()

    async def stop(self) -> None:
        await self._feed.stop()
        await self._replies.stop()
        await self._deliveries.stop()
        await self.keeper.stop()
        await self._kafka.close()
        await self._catalogue.stop()
        self._spool.close()

    def end_streams(self) -> None:
        """A stream would else outlast the wait for the requests in hand."""
        self._feed.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    def _topics(self) -> set[str]:
        return {*map(event_topic, self._catalogue.rules.event_types), *SERVICE_TOPICS}

    def _table(self) -> dict[tuple[str, str], Endpoint]:
        """(method, path) -> endpoint: all that is served."""
        decisions = Decisions(self._edge)
        table: dict[tuple[str, str], Endpoint] = {
            ("GET", "/status"): self._status,
            ("GET", "/openapi.json"): self._openapi,
            ("POST", "/v1/decide"): decisions.decide,
            ("POST", "/v1/user_tokens"): decisions.user_token,
            ("GET", "/v1/decisions/stream"): Pushed(self._edge, self._deliveries).stream,
            **static_table(),
            **Ofrep(self._edge).table(),
        }
        for dialect in DIALECTS:
            collect = Collector(dialect, self._edge).collect
            table |= {("POST", path): collect for path in dialect.post_paths}
            table |= {("GET", path): collect for path in dialect.get_paths}
        return table

    async def _status(self, request: Request) -> Response:
        report = self.status()
        return json_response(report, 200 if report["healthy"] else 503)

    async def _openapi(self, request: Request) -> Response:
        return json_response(document(DIALECTS))

    def status(self) -> dict[str, Any]:
        """Where events go, what waits, what was counted since the start. Nothing of any event."""
        keeper = self.keeper
        return {
            "healthy": keeper.failure() is None,
            "kafka": "direct" if keeper.is_direct else "spooling",
            "spool": {"bytes": self._spool.bytes, "segments": len(self._spool.segments)},
            "catalogue": {"offset": self._catalogue.rules.offset, "live": self._catalogue.is_live},
            "records": dict(keeper.counts),
            "replies": {"listening": self._replies.is_heard, **self._replies.counts},
            "deliveries": {"waiting": self._deliveries.waiting},
            "streams": self._feed.streams,
            "events": dict(sorted(self._edge.counts.items())),
        }
