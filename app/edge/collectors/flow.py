"""The way of a request that all collectors share: read, recognise, limit, take, keep, answer. Each step may refuse."""

import time

from starlette.requests import Request
from starlette.responses import Response

from app.edge.body import parsed, read_body
from app.edge.collectors.dialect import Answer, Ask, Dialect
from app.edge.edge import Edge
from app.edge.intake import Arrival
from app.edge.refusal import RefusalError


class Collector:
    """An endpoint for one dialect."""

    def __init__(self, dialect: Dialect, edge: Edge) -> None:
        self._dialect = dialect
        self._edge = edge

    async def collect(self, request: Request) -> Response:
        try:
            return self._dialect.accepted(await self._collect(request))
        except RefusalError as refusal:
            self._edge.counts[f"refused_{refusal.code}"] += 1
            return self._dialect.refused(refusal)

    async def _collect(self, request: Request) -> Answer:
        dialect, edge, rules = self._dialect, self._edge, self._edge.rules
        received_us = time.time_ns() // 1_000
        with edge.bodies.room(request, edge.largest_body(dialect.body_bytes)) as limit_bytes:
            ask = await self._ask(request, limit_bytes)
            caller = rules.caller(dialect.key(ask))
            if caller is None:
                raise RefusalError("unknown_key", "no write key that this edge knows; `truelift writekeys list` shows them")
            if ask.body_bytes > (caller.key.body_bytes or dialect.body_bytes):
                allowed = caller.key.body_bytes or dialect.body_bytes
                raise RefusalError(
                    "too_large", f"the body has {ask.body_bytes} bytes, {allowed} are allowed; send less at once"
                )
            events = dialect.events(ask)
            edge.rates.take(caller, len(events))
            arrival = Arrival(dialect.name, received_us, caller.is_server, dialect.event_bytes, edge.tokens.exposable)
            taken = dialect.take(events, arrival, rules)
            if taken.records:
                await edge.keeper.keep(taken.records)
        edge.counted(dialect.name, taken)
        return Answer(ask, taken, arrival)

    async def _ask(self, request: Request, limit_bytes: int) -> Ask:
        body = b""
        if request.method == "POST":
            body = await read_body(request, limit_bytes, self._edge.body_seconds)
        path = request.scope["path"]
        query = request.query_params if request.method == "GET" else {}
        return Ask(path, query, request.headers, parsed(body) if request.method == "POST" else None, len(body))
